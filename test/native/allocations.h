#pragma once

#include <cstdint>

namespace rnd1::test {

/** Whether operator new is counted; not under AddressSanitizer, which brings its own. */
bool allocationsAreCounted();

/** Calls of operator new so far, on all threads. */
int64_t allocationCount();

/** Of what operator new has given so far, how much has not come back. */
int64_t liveAllocations();

/**
 * While it lives, one allocation fails: the `number`th from now on, counted from 0, of operator new and of
 * std::aligned_alloc, on any thread. Where allocations are not counted none does.
 */
class FailingAllocation {
 public:
  explicit FailingAllocation(int64_t number);
  ~FailingAllocation();
  FailingAllocation(const FailingAllocation&) = delete;
  FailingAllocation& operator=(const FailingAllocation&) = delete;

  /** Whether there were so many. */
  bool happened() const;
};

/** Whether what this thread allocates now is counted. Every program of tests has its own. */
bool allocatesForItself();

}  // namespace rnd1::test
