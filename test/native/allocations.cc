#include "allocations.h"

#if defined(__linux__)
#include <malloc.h>
#endif

#include <atomic>
#include <cstdlib>
#include <new>

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define RND1_SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define RND1_SANITIZED 1
#endif
#endif

namespace rnd1::test {
namespace {
std::atomic<int64_t> allocations{0}, live{0};
constexpr int64_t never = -1;
std::atomic<int64_t> untilFailure{never};  // 0: the next one fails

/** Whether this allocation is to fail. */
[[maybe_unused]] bool fails() {
  if (untilFailure.load(std::memory_order_relaxed) < 0) return false;
  return untilFailure.fetch_sub(1, std::memory_order_relaxed) == 0;
}

}  // namespace

int64_t liveAllocations() { return live.load(); }

FailingAllocation::FailingAllocation(int64_t number) { untilFailure = number; }
FailingAllocation::~FailingAllocation() { untilFailure = never; }
bool FailingAllocation::happened() const { return untilFailure.load() < 0; }

int64_t allocationCount() { return allocations.load(); }

#ifdef RND1_SANITIZED

bool allocationsAreCounted() { return false; }

}  // namespace rnd1::test

#else

bool allocationsAreCounted() { return true; }

namespace {

void* alignedMemory(size_t alignment, size_t bytes) {
#if defined(__GLIBC__)
  return ::memalign(alignment, bytes);
#else
  return std::aligned_alloc(alignment, bytes);
#endif
}

void count() {
  if (allocatesForItself()) allocations.fetch_add(1, std::memory_order_relaxed);
}

void* counted(void* memory) {
  if (memory != nullptr) live.fetch_add(1, std::memory_order_relaxed);
  return memory;
}

void release(void* memory) {
  if (memory != nullptr) live.fetch_sub(1, std::memory_order_relaxed);
  std::free(memory);
}

void* allocateCounted(size_t bytes) {
  count();
  return fails() ? nullptr : counted(std::malloc(bytes == 0 ? 1 : bytes));
}

void* allocateCounted(size_t bytes, std::align_val_t alignment) {
  count();
  const auto unit = static_cast<size_t>(alignment);
  return fails() ? nullptr : counted(alignedMemory(unit, (bytes + unit) / unit * unit));
}

void* orThrow(void* memory) {
  if (memory == nullptr) throw std::bad_alloc();
  return memory;
}

}  // namespace
}  // namespace rnd1::test

// The standard library's array and nothrow forms call these.
void* operator new(size_t bytes) { return rnd1::test::orThrow(rnd1::test::allocateCounted(bytes)); }
void* operator new(size_t bytes, std::align_val_t alignment) {
  return rnd1::test::orThrow(rnd1::test::allocateCounted(bytes, alignment));
}
void operator delete(void* memory) noexcept { rnd1::test::release(memory); }
void operator delete(void* memory, size_t) noexcept { rnd1::test::release(memory); }
void operator delete(void* memory, std::align_val_t) noexcept { rnd1::test::release(memory); }
void operator delete(void* memory, size_t, std::align_val_t) noexcept { rnd1::test::release(memory); }

#if defined(__GLIBC__)
// Used by backends. The program's definition overrides the library's.
extern "C" void* aligned_alloc(size_t alignment, size_t bytes) {
  return rnd1::test::fails() ? nullptr : rnd1::test::alignedMemory(alignment, bytes);
}
#endif

#endif
