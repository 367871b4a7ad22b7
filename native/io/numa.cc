#include "io/numa.h"

#if defined(__linux__)
#include <linux/mempolicy.h>
#include <sys/syscall.h>
#include <unistd.h>
#endif

#include <bit>

namespace rnd1 {
namespace {

[[maybe_unused]] int countOf(const NodeSet& nodes) {
  int count = 0;
  for (const unsigned long word : nodes) count += std::popcount(word);
  return count;
}

// The kernel reads one bit less than it is told.
[[maybe_unused]] constexpr unsigned long nodeBits = 8 * sizeof(NodeSet) + 1;

}  // namespace

#if defined(__linux__) && defined(SYS_mbind) && defined(SYS_get_mempolicy)

NodeSet memoryNodes() noexcept {
  NodeSet nodes{};
  if (::syscall(SYS_get_mempolicy, nullptr, nodes.data(), nodeBits, nullptr, MPOL_F_MEMS_ALLOWED) != 0)
    return {};
  return nodes;
}

bool interleave(void* memory, size_t bytes, const NodeSet& nodes) noexcept {
  return ::syscall(SYS_mbind, memory, bytes, MPOL_INTERLEAVE, nodes.data(), nodeBits, 0) == 0;
}

void interleaveOnNuma(void* memory, size_t bytes) noexcept {
  static const NodeSet nodes = memoryNodes();
  if (countOf(nodes) < 2) return;
  int policy = MPOL_DEFAULT;
  if (::syscall(SYS_get_mempolicy, &policy, nullptr, 0, nullptr, 0) != 0 || policy != MPOL_DEFAULT) return;
  interleave(memory, bytes, nodes);
}

#else

NodeSet memoryNodes() noexcept { return {}; }
bool interleave(void*, size_t, const NodeSet&) noexcept { return false; }
void interleaveOnNuma(void*, size_t) noexcept {}

#endif

}  // namespace rnd1
