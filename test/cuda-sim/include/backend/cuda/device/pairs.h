#pragma once

// The simulated twin of native/backend/cuda/device/pairs.h.
#include <cuda_runtime.h>

#include <bit>
#include <cmath>

#include "backend/cuda/device/half.h"

namespace rnd1::cuda {

template <DType type>
uint32_t multiplyAddPairs(uint32_t a, uint32_t b, uint32_t c) {
  const auto half = [](uint32_t pair, int shift) {
    return widen<type>(static_cast<uint16_t>(pair >> shift));
  };
  const auto sum = [&](int shift) { return std::fma(half(a, shift), half(b, shift), half(c, shift)); };
  return pack<type>(sum(0), sum(16));
}

inline uint32_t maskedOr(uint32_t bits, uint32_t mask, uint32_t others) { return (bits & mask) | others; }
inline uint32_t invertedMaskedOr(uint32_t bits, uint32_t mask, uint32_t others) {
  return (~bits & mask) | others;
}

inline uint32_t rotated(uint32_t bits, int by) { return std::rotr(bits, by); }

}  // namespace rnd1::cuda
