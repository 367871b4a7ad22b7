#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <stdexcept>

namespace rnd1 {

/**
 * Weight formats; the first three are compute dtypes too. Raw values are shared with the kernels. q8, q5 and
 * q4 are integers and fp8 numbers of 8 bits, with scales, laid out as core/quantized.h says.
 */
enum class DType : uint8_t { f32 = 0, f16 = 1, bf16 = 2, q8 = 3, q4 = 4, fp8 = 5, q5 = 6 };

constexpr bool isQuantized(DType dtype) {
  return dtype == DType::q8 || dtype == DType::q5 || dtype == DType::q4 || dtype == DType::fp8;
}

/** Bytes per element. Throws std::logic_error for quantized formats, whose elements share scales. */
constexpr size_t dtypeSize(DType dtype) {
  switch (dtype) {
    case DType::f32:
      return 4;
    case DType::f16:
    case DType::bf16:
      return 2;
    case DType::q8:
    case DType::q5:
    case DType::q4:
    case DType::fp8:
      break;
  }
  throw std::logic_error("a quantized number has no size of its own");
}

constexpr const char* dtypeName(DType dtype) {
  switch (dtype) {
    case DType::f32:
      return "f32";
    case DType::f16:
      return "f16";
    case DType::bf16:
      return "bf16";
    case DType::q8:
      return "q8";
    case DType::q5:
      return "q5";
    case DType::q4:
      return "q4";
    case DType::fp8:
      return "fp8";
  }
  return "unknown";
}

inline float bf16ToFloat(uint16_t bits) { return std::bit_cast<float>(uint32_t{bits} << 16); }

/** Round to nearest, ties to even; NaN stays NaN. */
inline uint16_t floatToBf16(float value) {
  const uint32_t bits = std::bit_cast<uint32_t>(value);
  if ((bits & 0x7fffffffu) > 0x7f800000u) return static_cast<uint16_t>((bits >> 16) | 0x40u);
  return static_cast<uint16_t>((bits + 0x7fffu + ((bits >> 16) & 1u)) >> 16);
}

/** IEEE 754 binary16, subnormals and infinities included. */
inline float f16ToFloat(uint16_t half) {
  const uint32_t sign = uint32_t{half & 0x8000u} << 16;
  const uint32_t magnitude = half & 0x7fffu;
  if (magnitude >= 0x7c00u) return std::bit_cast<float>(sign | 0x7f800000u | ((magnitude & 0x3ffu) << 13));
  // The multiplication rebases the exponent and normalises subnormals.
  const float scaled = std::bit_cast<float>(magnitude << 13) * 0x1p112f;
  return std::bit_cast<float>(std::bit_cast<uint32_t>(scaled) | sign);
}

/** Round to nearest, ties to even; overflow returns infinity. */
inline uint16_t floatToF16(float value) {
  const uint32_t bits = std::bit_cast<uint32_t>(value);
  const uint16_t sign = static_cast<uint16_t>((bits >> 16) & 0x8000u);
  const uint32_t magnitude = bits & 0x7fffffffu;
  if (magnitude > 0x7f800000u) return sign | 0x7e00u;
  if (magnitude >= 0x477ff000u) return sign | 0x7c00u;
  if (magnitude < 0x38800000u) {
    // Below 2^-14: adding 0.5 leaves the subnormal's rounded bits in the low mantissa bits.
    const float shifted = std::bit_cast<float>(magnitude) + 0.5f;
    return sign | static_cast<uint16_t>(std::bit_cast<uint32_t>(shifted) - 0x3f000000u);
  }
  const uint32_t rounded = magnitude + 0xfffu + ((magnitude >> 13) & 1u);
  return sign | static_cast<uint16_t>((rounded - 0x38000000u) >> 13);
}

/** A value of a 16-bit dtype. */
inline float halfToFloat(DType dtype, uint16_t half) {
  return dtype == DType::bf16 ? bf16ToFloat(half) : f16ToFloat(half);
}

/** The nearest value that `dtype` can hold. */
inline float roundTo(DType dtype, float value) {
  if (dtype == DType::bf16) return bf16ToFloat(floatToBf16(value));
  if (dtype == DType::f16) return f16ToFloat(floatToF16(value));
  return value;
}

}  // namespace rnd1
