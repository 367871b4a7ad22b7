#pragma once

#include "backend/cuda/device/pairs.h"

namespace rnd1::cuda {

/**
 * Integers of a quantized weight, less the zero point, as pairs of 16-bit values, exactly. Their bits become
 * the last ones of a number whose last bit counts as 1 (128 in bf16, 1024 in f16), from which this number and
 * the zero point are subtracted.
 */
template <DType type>
__device__ __forceinline__ uint32_t addPairs(uint32_t a, uint32_t b) {
  return multiplyAddPairs<type>(a, type == DType::bf16 ? 0x3f803f80u : 0x3c003c00u, b);
}

/** Of q4: the lowest four bits of each half. */
template <DType type>
__device__ __forceinline__ uint32_t nibblePair(uint32_t bits) {
  constexpr uint32_t number = type == DType::bf16 ? 0x43004300u : 0x64006400u;
  constexpr uint32_t subtrahend = type == DType::bf16 ? 0xc308c308u : 0xe408e408u;  // −(128 + 8), −(1024 + 8)
  return addPairs<type>(maskedOr(bits, 0x000f000fu, number), subtrahend);
}

/** Of q8: the lowest eight bits of each half. */
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

}  // namespace rnd1::cuda
