#pragma once

#include <cstdint>
#include <string>

#include "core/error.h"

/** Sizes that come from arguments or files: what does not fit into an int64_t is an error, no wrapped number.
 */
namespace rnd1 {

/** Throws Error out_of_memory: no memory could hold that many. */
[[noreturn]] inline void refuseSize() {
  throw Error(ErrorCode::outOfMemory, "a size is beyond what 63 bits can count");
}

constexpr int64_t sizeSum(int64_t left, int64_t right) {
  int64_t sum = 0;
  if (__builtin_add_overflow(left, right, &sum)) refuseSize();
  return sum;
}

/** Of two factors or more. */
template <typename... More>
constexpr int64_t sizeProduct(int64_t left, int64_t right, More... more) {
  int64_t product = 0;
  if (__builtin_mul_overflow(left, right, &product)) refuseSize();
  if constexpr (sizeof...(more) == 0) {
    return product;
  } else {
    return sizeProduct(product, static_cast<int64_t>(more)...);
  }
}

}  // namespace rnd1
