#pragma once

#include <cuda_runtime.h>

#include "core/dtype.h"

namespace rnd1::cuda {

/** a · b + c of pairs of 16-bit values, each rounded once (fma.rn.{bf16x2,f16x2}). */
template <DType type>
__device__ __forceinline__ uint32_t multiplyAddPairs(uint32_t a, uint32_t b, uint32_t c) {
  static_assert(type != DType::f32);
  uint32_t sum;
  if constexpr (type == DType::bf16) {
    asm("fma.rn.bf16x2 %0, %1, %2, %3;" : "=r"(sum) : "r"(a), "r"(b), "r"(c));
  } else {
    asm("fma.rn.f16x2 %0, %1, %2, %3;" : "=r"(sum) : "r"(a), "r"(b), "r"(c));
  }
  return sum;
}

/** bits & mask | others, or ~bits & mask | others, by one instruction (lop3), which the compiler does not
 * find for two constants. */
__device__ __forceinline__ uint32_t maskedOr(uint32_t bits, uint32_t mask, uint32_t others) {
  uint32_t result;
  asm("lop3.b32 %0, %1, %2, %3, 0xea;" : "=r"(result) : "r"(bits), "r"(mask), "r"(others));
  return result;
}
__device__ __forceinline__ uint32_t invertedMaskedOr(uint32_t bits, uint32_t mask, uint32_t others) {
  uint32_t result;
  asm("lop3.b32 %0, %1, %2, %3, 0xae;" : "=r"(result) : "r"(bits), "r"(mask), "r"(others));
  return result;
}

/** Bits rotated to the right (shf.r.wrap). */
__device__ __forceinline__ uint32_t rotated(uint32_t bits, int by) { return __funnelshift_r(bits, bits, by); }

}  // namespace rnd1::cuda
