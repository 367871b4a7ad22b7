#pragma once

#include <cstdint>

namespace rnd1::test {

/** Whether operator new is counted; not under AddressSanitizer, which brings its own. */
bool allocationsAreCounted();

/** Calls of operator new so far, on all threads. */
int64_t allocationCount();

/** Whether what this thread allocates now is counted. Every program of tests has its own. */
bool allocatesForItself();

}  // namespace rnd1::test
