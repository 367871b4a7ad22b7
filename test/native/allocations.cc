#include "allocations.h"

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
std::atomic<int64_t> allocations{0};
}  // namespace

int64_t allocationCount() { return allocations.load(); }

#ifdef RND1_SANITIZED

bool allocationsAreCounted() { return false; }

}  // namespace rnd1::test

#else

bool allocationsAreCounted() { return true; }

namespace {

void count() {
  if (allocatesForItself()) allocations.fetch_add(1, std::memory_order_relaxed);
}

void* allocateCounted(size_t bytes) {
  count();
  return std::malloc(bytes == 0 ? 1 : bytes);
}

void* allocateCounted(size_t bytes, std::align_val_t alignment) {
  count();
  const auto unit = static_cast<size_t>(alignment);
  return std::aligned_alloc(unit, (bytes + unit) / unit * unit);
}

void* orThrow(void* memory) {
  if (memory == nullptr) throw std::bad_alloc();
  return memory;
}

}  // namespace
}  // namespace rnd1::test

// The array and nothrow forms of the standard library call these.
void* operator new(size_t bytes) { return rnd1::test::orThrow(rnd1::test::allocateCounted(bytes)); }
void* operator new(size_t bytes, std::align_val_t alignment) {
  return rnd1::test::orThrow(rnd1::test::allocateCounted(bytes, alignment));
}
void operator delete(void* memory) noexcept { std::free(memory); }
void operator delete(void* memory, size_t) noexcept { std::free(memory); }
void operator delete(void* memory, std::align_val_t) noexcept { std::free(memory); }
void operator delete(void* memory, size_t, std::align_val_t) noexcept { std::free(memory); }

#endif
