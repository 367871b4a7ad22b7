#pragma once

#include "backend/cuda/device/pairs.h"

/** Integers and numbers of a quantized weight as pairs of 16-bit values, exactly. */
namespace rnd1::cuda {

/** 16 + a nibble of q4 in each half: the nibble becomes the first four bits of a fraction. `bits`: it is at
 * these bits already, among others. */
template <DType type>
__device__ __forceinline__ uint32_t nibblePair(uint32_t bits) {
  static_assert(type != DType::f32);
  return type == DType::bf16 ? maskedOr(bits, 0x00780078u, 0x41804180u)
                             : maskedOr(bits, 0x03c003c0u, 0x4c004c00u);
}

/** 32 + an integer of q5 in each half: its lower four bits, and the fifth one, are at their bits of a
 * fraction already, among others. */
template <DType type>
__device__ __forceinline__ uint32_t fiveBitPair(uint32_t lower, uint32_t fifth) {
  static_assert(type != DType::f32);
  return type == DType::bf16 ? maskedOr(fifth, 0x00400040u, maskedOr(lower, 0x003c003cu, 0x42004200u))
                             : maskedOr(fifth, 0x02000200u, maskedOr(lower, 0x01e001e0u, 0x50005000u));
}

template <DType type>
__device__ __forceinline__ uint32_t addPairs(uint32_t a, uint32_t b) {
  return multiplyAddPairs<type>(a, type == DType::bf16 ? 0x3f803f80u : 0x3c003c00u, b);
}

/**
 * The lowest byte of each half of q8, less 128. Its bits become the last ones of a number whose last bit
 * counts as 1 (128 in bf16, 1,024 in f16), from which this number and 128 are subtracted.
 */
template <DType type>
__device__ __forceinline__ uint32_t bytePair(uint32_t bits) {
  if constexpr (type == DType::f16) {
    return addPairs<type>(maskedOr(bits, 0x00ff00ffu, 0x64006400u), 0xe480e480u);  // −(1024 + 128)
  } else {
    // Seven bits follow the leading one of 128; the eighth chooses between −128 and −256.
    return addPairs<type>(maskedOr(bits, 0x007f007fu, 0x43004300u),
                          invertedMaskedOr(bits, 0x00800080u, 0xc300c300u));
  }
}

/**
 * One of two numbers of fp8 in each half (`fp8InHalf`), divided by `fp8Factor`: sign, exponent and fraction
 * at this dtype's, of which the first number has them already. Subnormal numbers become normal or such.
 */
template <DType type, bool second>
__device__ __forceinline__ uint32_t fp8Pair(uint32_t bits) {
  static_assert(type != DType::f32);
  if constexpr (type == DType::bf16) {
    return second ? maskedOr(bits << 4, 0x80f080f0u, bits >> 4 & 0x07000700u) : bits & 0x87f087f0u;
  } else {
    return second ? maskedOr(bits << 1, 0x80008000u, bits << 7 & 0x3f803f80u) : bits & 0xbf80bf80u;
  }
}

}  // namespace rnd1::cuda
