#pragma once

// The simulated twin of native/backend/cuda/device/half.h.
#include <cuda_runtime.h>

#include "core/dtype.h"

namespace rnd1::cuda {

template <DType type>
uint32_t pack(float low, float high) {
  const auto bits = [](float value) -> uint32_t {
    return type == DType::bf16 ? floatToBf16(value) : floatToF16(value);
  };
  return bits(low) | bits(high) << 16;
}

template <DType type>
float widen(uint16_t bits) {
  return type == DType::bf16 ? bf16ToFloat(bits) : f16ToFloat(bits);
}

}  // namespace rnd1::cuda
