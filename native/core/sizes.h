#pragma once

#include <cstdint>
#include <string>

#include "core/error.h"

/** Checked arithmetic for sizes from arguments or files: int64_t overflow is an error. */
namespace rnd1 {

/** Throws Error out_of_memory. */
[[noreturn]] inline void refuseSize() { throw Error(ErrorCode::outOfMemory, "a size exceeds 63 bits"); }

constexpr int64_t sizeSum(int64_t left, int64_t right) {
  int64_t sum = 0;
  if (__builtin_add_overflow(left, right, &sum)) refuseSize();
  return sum;
}

/** Product of two or more factors. */
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
