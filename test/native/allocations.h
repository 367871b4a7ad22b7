#pragma once

#include <cstdint>

namespace rnd1::test {

/** Whether operator new is counted; not under AddressSanitizer, which replaces it. */
bool allocationsAreCounted();

/** Calls of operator new so far, on all threads. */
int64_t allocationCount();

/** Number of allocations of operator new not yet freed. */
int64_t liveAllocations();

/**
 * During its lifetime, one allocation fails: the `number`th from now on, counted from 0, of operator new and
 * std::aligned_alloc, on any thread. None fails if allocations are not counted.
 */
class FailingAllocation {
 public:
  explicit FailingAllocation(int64_t number);
  ~FailingAllocation();
  FailingAllocation(const FailingAllocation&) = delete;
  FailingAllocation& operator=(const FailingAllocation&) = delete;

  /** Whether the failure occurred. */
  bool happened() const;
};

/** Whether this thread's allocations count now. Each test program defines its own. */
bool allocatesForItself();

}  // namespace rnd1::test
