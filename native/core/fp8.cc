#include "core/fp8.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <vector>

namespace rnd1 {
namespace {

constexpr float largestNumber = 448;
/** The largest scale: kernels multiply by 2¹²⁰ times it, in bf16. */
constexpr float largestScale = 255;
/** The largest value that scales of powers of two allow for. */
constexpr float largestValue = largestNumber * 128;
/** Smaller ones would vanish in f16. */
constexpr int smallestExponent = -32;

/** The smallest power of two that divides `largest` to 448 or less. */
float scaleFor(float largest) {
  if (largest == 0) return 1;
  int exponent;
  const float fraction = std::frexp(largest, &exponent);
  // 448 = 0.875 · 2⁹
  return std::ldexp(1.0f, std::max(exponent - (fraction <= 0.875f ? 9 : 8), smallestExponent));
}

constexpr bool isNaN(uint8_t bits) { return (bits & 0x7f) == 0x7f; }

}  // namespace

float fp8ToFloat(uint8_t bits) {
  if (isNaN(bits)) return std::bit_cast<float>(0x7fc00000u);
  // The multiplication rebases the exponent and normalises subnormals.
  const float magnitude = std::bit_cast<float>(uint32_t{bits & 0x7fu} << 20) * 0x1p120f;
  return std::bit_cast<float>(std::bit_cast<uint32_t>(magnitude) | uint32_t{bits & 0x80u} << 24);
}

uint8_t floatToFp8(float value) {
  const uint32_t bits = std::bit_cast<uint32_t>(value), magnitude = bits & 0x7fffffffu;
  const auto sign = static_cast<uint8_t>(bits >> 24 & 0x80u);
  if (magnitude < 0x3c800000u) {
    // Below 2⁻⁶: adding 2¹⁴ leaves multiples of 2⁻⁹ in the lowest bits.
    const float shifted = std::bit_cast<float>(magnitude) + 0x1p14f;
    return sign | static_cast<uint8_t>(std::bit_cast<uint32_t>(shifted) - 0x46800000u);
  }
  const uint32_t rounded = (magnitude + 0x7ffffu + (magnitude >> 20 & 1u)) >> 20;
  return sign | static_cast<uint8_t>(std::min(rounded - (120u << 3), 0x7eu));
}

bool quantizeFp8(const std::byte* source, DType sourceDtype, int64_t strideBytes, int64_t rows,
                 int64_t columns, uint8_t* out, float* scales) {
  std::vector<float> values(fp8Block * fp8Block);
  for (int64_t block = 0; block < fp8Blocks(columns); ++block) {
    const int64_t first = block * fp8Block, count = std::min(fp8Block, columns - first);
    float largest = 0;
    bool finite = true;
    for (int64_t row = 0; row < rows; ++row) {
      float* const line = values.data() + row * fp8Block;
      readFloats(source + row * strideBytes, sourceDtype, first, count, line);
      for (int64_t i = 0; i < count; ++i) {
        const float magnitude = std::fabs(line[i]);
        finite = finite && magnitude <= largestValue;  // false for NaN
        largest = std::max(largest, magnitude);
      }
    }
    if (!finite) return false;
    const float scale = scaleFor(largest), inverse = 1 / scale;
    scales[block] = scale;
    for (int64_t row = 0; row < rows; ++row)
      for (int64_t i = 0; i < count; ++i)
        out[row * columns + first + i] = floatToFp8(values[row * fp8Block + i] * inverse);
  }
  return true;
}

bool fp8Panels(const QuantizedShape& shape, const uint8_t* numbers, const float* scales, int64_t rows,
               const QuantizedPanel& first) {
  const int64_t groups = shape.groups();
  for (int64_t block = 0; block < fp8Blocks(shape.columns); ++block)
    if (!(std::fabs(scales[block]) <= largestScale)) return false;
  for (int64_t row = 0; row < rows; ++row) {
    const uint8_t* const line = numbers + row * shape.columns;
    if (std::any_of(line, line + shape.columns, isNaN)) return false;
    const int64_t panel = row / panelRows, inside = row % panelRows;
    uint8_t* const data = first.data + panel * shape.panelBytes();
    uint16_t* const panelScales = first.scales + panel * shape.panelScales();
    if (inside == 0) {
      std::memset(data, 0, static_cast<size_t>(shape.panelBytes()));
      std::fill_n(panelScales, shape.panelScales(), uint16_t{0});
    }
    for (int64_t group = 0; group < groups; ++group)
      panelScales[group * panelRows + inside] = floatToBf16(scales[group * shape.group / fp8Block]);
    for (int64_t column = 0; column < shape.columns; column += 4)
      std::memcpy(data + shape.byteOf(inside, column), line + column,
                  static_cast<size_t>(std::min<int64_t>(4, shape.columns - column)));
  }
  return true;
}

}  // namespace rnd1
