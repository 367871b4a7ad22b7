#include "io/numa.h"

#include "harness.h"

#if defined(__linux__)

#include <linux/mempolicy.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

namespace rnd1::test {
namespace {

constexpr size_t size = 1 << 20;

/** The policy of a page; −1 if the system does not tell. */
int policyOf(void* page) {
  int policy = -1;
  return ::syscall(SYS_get_mempolicy, &policy, nullptr, 0, page, MPOL_F_ADDR) == 0 ? policy : -1;
}

void pagesAreInterleaved() {
  void* memory = ::mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  expect(memory != MAP_FAILED, "mmap");
  const NodeSet nodes = memoryNodes();
  const bool known = nodes != NodeSet{};
  if (interleave(memory, size, nodes)) {
    expectEqual(policyOf(memory), int{MPOL_INTERLEAVE}, "policy of the first page");
    expectEqual(policyOf(static_cast<std::byte*>(memory) + size - 1), int{MPOL_INTERLEAVE}, "of the last");
  } else {
    // Containers forbid it.
    expect(!known || policyOf(memory) <= MPOL_DEFAULT, "refused, but changed");
  }
  ::munmap(memory, size);
}

void badMemoryIsRefused() {
  NodeSet nodes{};
  nodes[0] = 1;
  int inside = 0;
  expect(!interleave(reinterpret_cast<std::byte*>(&inside) + 1, size, nodes),
         "memory that begins at no page");
  void* memory = ::mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  expect(!interleave(memory, size, {}), "no nodes");
  // Whatever the machine: no error, and the memory stays usable.
  interleaveOnNuma(memory, size);
  *static_cast<int*>(memory) = 1;
  ::munmap(memory, size);
}

const Tests numaTests{
    {"numa: pages of fresh memory are interleaved", pagesAreInterleaved},
    {"numa: what the system refuses changes nothing", badMemoryIsRefused},
};

}  // namespace
}  // namespace rnd1::test

#endif
