#pragma once

#include <cuda_runtime.h>

#include "core/dtype.h"

namespace rnd1::cuda {

/** Two values of a 16-bit type in one register, `low` in the lower half; to nearest, ties to even
 * (cvt.rn.{bf16x2,f16x2}.f32). */
template <DType type>
__device__ __forceinline__ uint32_t pack(float low, float high) {
  static_assert(type != DType::f32);
  uint32_t bits;
  if constexpr (type == DType::bf16) {
    asm("cvt.rn.bf16x2.f32 %0, %1, %2;" : "=r"(bits) : "f"(high), "f"(low));
  } else {
    asm("cvt.rn.f16x2.f32 %0, %1, %2;" : "=r"(bits) : "f"(high), "f"(low));
  }
  return bits;
}

/** A 16-bit value as f32 (cvt.f32.f16; bf16 is the upper half of an f32). */
template <DType type>
__device__ __forceinline__ float widen(uint16_t bits) {
  static_assert(type != DType::f32);
  if constexpr (type == DType::bf16) {
    return __uint_as_float(static_cast<uint32_t>(bits) << 16);
  } else {
    float value;
    asm("cvt.f32.f16 %0, %1;" : "=f"(value) : "h"(bits));
    return value;
  }
}

}  // namespace rnd1::cuda
