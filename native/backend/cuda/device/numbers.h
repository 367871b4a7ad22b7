#pragma once

#include "backend/cuda/device/half.h"
#include "core/tensor.h"

namespace rnd1::cuda {

template <DType type>
constexpr int64_t bytesOf = type == DType::f32 ? 4 : 2;

/** Element `index` of an array of `type`, as f32. */
template <DType type>
__device__ __forceinline__ float element(const std::byte* array, int64_t index) {
  if constexpr (type == DType::f32) {
    return reinterpret_cast<const float*>(array)[index];
  } else {
    return widen<type>(reinterpret_cast<const uint16_t*>(array)[index]);
  }
}

/** Rounds a value and stores it as element `index` of an array of `type`. */
template <DType type>
__device__ __forceinline__ void setElement(std::byte* array, int64_t index, float value) {
  if constexpr (type == DType::f32) {
    reinterpret_cast<float*>(array)[index] = value;
  } else {
    reinterpret_cast<uint16_t*>(array)[index] = static_cast<uint16_t>(pack<type>(value, 0.0f) & 0xffffu);
  }
}

/** `element` for a runtime dtype, which must be uniform within a warp. */
__device__ __forceinline__ float element(DType type, const std::byte* array, int64_t index) {
  if (type == DType::f32) return element<DType::f32>(array, index);
  return type == DType::f16 ? element<DType::f16>(array, index) : element<DType::bf16>(array, index);
}

/** A row of a tensor of 16-bit values. */
__device__ __forceinline__ uint16_t* halves(const Tensor& tensor, int64_t row) {
  return reinterpret_cast<uint16_t*>(tensor.data) + row * tensor.stride;
}

/** A row of a tensor of any dtype. */
__device__ __forceinline__ std::byte* bytesOfRow(const Tensor& tensor, int64_t row) {
  return reinterpret_cast<std::byte*>(tensor.data) +
         row * tensor.stride * (tensor.dtype == DType::f32 ? 4 : 2);
}

/** Rounds to `type`. */
template <DType type>
__device__ __forceinline__ float rounded(float value) {
  if constexpr (type == DType::f32) {
    return value;
  } else {
    return widen<type>(static_cast<uint16_t>(pack<type>(value, 0.0f) & 0xffffu));
  }
}

/** Rounds a value to `type` and stores it in a tensor of f32 or of `type`. */
template <DType type>
__device__ __forceinline__ void setRounded(const Tensor& tensor, int64_t row, int64_t column, float value) {
  if (type == DType::f32 || tensor.dtype == DType::f32) {
    tensor.row(row)[column] = rounded<type>(value);
  } else {
    setElement<type>(bytesOfRow(tensor, row), column, value);
  }
}

/** Bits that compare as the values do; −0 equals 0, NaN is −∞. */
__device__ __forceinline__ uint32_t orderedBits(float value) {
  if (value != value) value = -INFINITY;
  const uint32_t bits = __float_as_uint(value + 0.0f);
  return bits & 0x80000000u ? ~bits : bits | 0x80000000u;
}

/** Sort key by value, then lower id; larger keys are better. Never 0. */
__device__ __forceinline__ uint64_t bestFirstKey(float value, int32_t id) {
  return static_cast<uint64_t>(orderedBits(value)) << 32 | static_cast<uint32_t>(~id);
}
__device__ __forceinline__ int32_t idOfKey(uint64_t key) {
  return ~static_cast<int32_t>(static_cast<uint32_t>(key));
}

/** Calls body.template operator()<dtype>() with the dtype as a constant. */
template <typename Body>
auto dispatchDType(DType dtype, Body&& body) {
  switch (dtype) {
    case DType::f32:
      return body.template operator()<DType::f32>();
    case DType::f16:
      return body.template operator()<DType::f16>();
    default:  // quantized weights are rejected earlier
      return body.template operator()<DType::bf16>();
  }
}

}  // namespace rnd1::cuda
