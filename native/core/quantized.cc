#include "core/quantized.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>

#include "core/fp8.h"

namespace rnd1 {
namespace {

constexpr int64_t largestGroup = 64;
using Group = std::array<float, largestGroup>;

// Sums of a group use this many lanes, so that compilers can vectorise them in the same order.
constexpr int64_t lanes = 8;

/** Smallest and largest positive f16: scales must neither vanish nor overflow. */
constexpr float smallestScale = 0x1p-24f;
constexpr float largestScale = 65504.0f;

/** Nearest integer, ties to even, for magnitudes below 2^22; compilers can vectorise it. */
float nearest(float value) {
  constexpr float shift = 0x1.8p23f;
  return (value + shift) - shift;
}

float clampTo(float value, float min, float max) { return std::min(std::max(value, min), max); }

/** The f16 nearest to a scale, with its sign, but never 0 or infinity. */
uint16_t scaleBits(float scale) {
  const float magnitude = clampTo(std::fabs(scale), smallestScale, largestScale);
  return floatToF16(std::copysign(magnitude, scale));
}

float sumLanes(const std::array<float, lanes>& sums) {
  return ((sums[0] + sums[4]) + (sums[2] + sums[6])) + ((sums[1] + sums[5]) + (sums[3] + sums[7]));
}

struct Range {
  float min, max;
};

Range rangeOf(const Group& values, int64_t count) {
  std::array<float, lanes> min, max;
  std::copy_n(values.begin(), lanes, min.begin());
  max = min;
  for (int64_t first = lanes; first < count; first += lanes)
    for (int64_t lane = 0; lane < lanes; ++lane) {
      min[lane] = std::min(min[lane], values[first + lane]);
      max[lane] = std::max(max[lane], values[first + lane]);
    }
  return {*std::min_element(min.begin(), min.end()), *std::max_element(max.begin(), max.end())};
}

/** stored[i] = round((values[i] − minimum) / scale) + zero, clamped to min … max. */
void store(const Group& values, int64_t count, float scale, float minimum, float zero, float min, float max,
           Group& stored) {
  const float inverse = 1 / scale;
  for (int64_t i = 0; i < count; ++i)
    stored[i] = clampTo(nearest((values[i] - minimum) * inverse) + zero, min, max);
}

/** Σ a, Σ a², Σ a·b over a group. */
struct Moments {
  float sum, square, product;
};

Moments momentsOf(const Group& a, const Group& b, int64_t count, float offset) {
  std::array<float, lanes> sum{}, square{}, product{};
  const auto add = [&](int64_t lane, int64_t index) {
    const float value = a[index] - offset;
    sum[lane] += value;
    square[lane] += value * value;
    product[lane] += value * b[index];
  };
  int64_t first = 0;
  for (; first + lanes <= count; first += lanes)
    for (int64_t lane = 0; lane < lanes; ++lane) add(lane, first + lane);
  for (int64_t lane = 0; first + lane < count; ++lane) add(lane, first + lane);
  return {sumLanes(sum), sumLanes(square), sumLanes(product)};
}

/** Scale and minimum of a group, as f16. */
struct Choice {
  uint16_t scale = 0;
  uint16_t minimum = 0;
};

// Candidates for 4 and 5 bits: ranges slightly wider or narrower than that of the values. Clipping the few
// largest often pays off through a finer step.
constexpr int tries = 9;
constexpr float tryStep = 0.04f;

/** q4 with the fixed zero point 8: the largest magnitude becomes −8, which uses all sixteen values. */
Choice chooseSymmetric(const Group& values, int64_t count, Range range) {
  const float extreme = -range.min > range.max ? range.min : range.max;
  Choice best;
  float bestGain = -1;
  Group stored;
  for (int attempt = 0; attempt < tries; ++attempt) {
    const float steps = -8 * (1 + tryStep * static_cast<float>(attempt - 2));
    const float scale = extreme / steps;
    if (!(std::fabs(scale) >= smallestScale)) break;
    store(values, count, scale, 0, 8, 0, 15, stored);
    const Moments moments = momentsOf(stored, values, count, 8);
    if (moments.square == 0) continue;
    // Least squares: with scale = Σqx / Σq², the error is Σx² minus this.
    const float gain = moments.product * moments.product / moments.square;
    if (gain > bestGain) {
      bestGain = gain;
      best.scale = scaleBits(moments.product / moments.square);
    }
  }
  if (bestGain < 0) best.scale = scaleBits(extreme / -8);
  return best;
}

/** With a minimum of its own; `last`: the largest integer. */
Choice chooseAffine(const Group& values, int64_t count, Range range, const Moments& own, float last) {
  const auto number = static_cast<float>(count);
  Choice best;
  float bestError = INFINITY;
  Group stored;
  for (int attempt = 0; attempt < tries; ++attempt) {
    const float shrink = 1 - tryStep * static_cast<float>(attempt);
    const float middle = 0.5f * (range.min + range.max);
    const float scale = shrink * (range.max - range.min) / last;
    if (!(scale >= smallestScale)) break;
    store(values, count, scale, middle - 0.5f * last * scale, 0, 0, last, stored);
    const Moments moments = momentsOf(stored, values, count, 0);
    const float determinant = number * moments.square - moments.sum * moments.sum;
    if (!(determinant > 0)) continue;
    const float fitted = (number * moments.product - moments.sum * own.sum) / determinant;
    const float minimum = (own.sum - fitted * moments.sum) / number;
    const float error = own.square - fitted * moments.product - minimum * own.sum;
    if (fitted >= smallestScale && error < bestError) {
      bestError = error;
      best = {scaleBits(fitted), floatToF16(minimum)};
    }
  }
  if (bestError == INFINITY) {
    // All values are (nearly) equal: the minimum suffices.
    best = {scaleBits((range.max - range.min) / last), floatToF16(range.min)};
  }
  return best;
}

}  // namespace

void fillWithZeroPoints(const QuantizedShape& shape, uint8_t* panel) {
  const int zero = zeroPoint(shape.dtype);
  std::memset(panel, shape.dtype == DType::q4 ? zero << 4 | zero : zero,
              static_cast<size_t>(shape.panelBytes()));
}

void readFloats(const std::byte* source, DType dtype, int64_t first, int64_t count, float* out) {
  if (dtype == DType::f32) {
    std::memcpy(out, source + 4 * first, static_cast<size_t>(4 * count));
    return;
  }
  for (int64_t i = 0; i < count; ++i) {
    uint16_t bits;
    std::memcpy(&bits, source + 2 * (first + i), sizeof bits);
    out[i] = halfToFloat(dtype, bits);
  }
}

Weight quantizedWeight(const QuantizedShape& shape, const void* data, const uint16_t* scales,
                       const uint16_t* minimums) {
  Weight weight;
  weight.data = static_cast<const std::byte*>(data);
  weight.dtype = shape.dtype;
  weight.rows = shape.rows;
  weight.columns = shape.columns;
  weight.strideBytes = shape.strideBytes();
  weight.scales = scales;
  weight.minimums = minimums;
  weight.group = shape.group;
  return weight;
}

bool quantizePanel(const QuantizedShape& shape, const std::byte* source, DType sourceDtype,
                   int64_t strideBytes, int64_t rows, const QuantizedPanel& panel) {
  const bool q8 = shape.dtype == DType::q8;
  const float zero = zeroPoint(shape.dtype);
  const auto last = static_cast<float>(largestInteger(shape.dtype));
  const float largest = largestScale * (panel.minimums ? 1 : q8 ? 127 : 8);
  fillWithZeroPoints(shape, panel.data);
  std::fill_n(panel.scales, shape.panelScales(), uint16_t{0});
  if (panel.minimums) std::fill_n(panel.minimums, shape.panelScales(), uint16_t{0});
  Group values, stored;
  for (int64_t row = 0; row < rows; ++row) {
    const std::byte* sourceRow = source + row * strideBytes;
    for (int64_t group = 0; group < shape.groups(); ++group) {
      const int64_t first = group * shape.group;
      const int64_t present = std::min<int64_t>(shape.group, shape.columns - first);
      readFloats(sourceRow, sourceDtype, first, present, values.data());
      // Padding repeats an existing value, so it does not widen the range; sums skip it.
      std::fill(values.begin() + present, values.begin() + shape.group, values[0]);
      const Range range = rangeOf(values, shape.group);
      const float magnitude = std::max(-range.min, range.max);
      const Moments own = momentsOf(values, values, present, 0);
      // Comparisons skip NaN, sums do not.
      if (!(own.square < INFINITY) || magnitude > largest) return false;
      if (magnitude == 0) continue;
      Choice choice;
      if (q8) {
        choice.scale = scaleBits(magnitude / 127);
      } else if (panel.minimums) {
        choice = chooseAffine(values, present, range, own, last);
      } else {
        choice = chooseSymmetric(values, present, range);
      }
      const float scale = f16ToFloat(choice.scale);
      if (panel.minimums) {
        store(values, shape.group, scale, f16ToFloat(choice.minimum), 0, 0, last, stored);
      } else {
        // q8 does not use 0, which would be −128.
        store(values, shape.group, scale, 0, zero, q8 ? 1 : 0, last, stored);
      }
      panel.scales[group * panelRows + row] = choice.scale;
      if (panel.minimums) panel.minimums[group * panelRows + row] = choice.minimum;
      for (int64_t i = 0; i < present; ++i)
        shape.setStored(panel.data, row, first + i, static_cast<uint8_t>(stored[i]));
    }
  }
  return true;
}

void dequantizeRows(const Weight& weight, int64_t first, int64_t count, float* out, int64_t outStride) {
  const QuantizedShape shape{weight.dtype, weight.rows, weight.columns, weight.group};
  const auto valueOf = [&](uint8_t stored, int64_t index) {
    if (weight.dtype == DType::fp8) return bf16ToFloat(weight.scales[index]) * fp8ToFloat(stored);
    const float scale = f16ToFloat(weight.scales[index]);
    const float minimum = weight.minimums ? f16ToFloat(weight.minimums[index])
                                          : (weight.dtype == DType::q8 ? -128 * scale : -8 * scale);
    return std::fma(scale, static_cast<float>(stored), minimum);
  };
  for (int64_t r = 0; r < count; ++r) {
    const int64_t panel = (first + r) / panelRows;
    const int64_t row = (first + r) % panelRows;
    const auto* data = reinterpret_cast<const uint8_t*>(weight.data) + panel * shape.panelBytes();
    float* target = out + r * outStride;
    for (int64_t column = 0; column < weight.columns; ++column) {
      const int64_t index = panel * shape.panelScales() + column / weight.group * panelRows + row;
      target[column] = valueOf(shape.stored(data, row, column), index);
    }
  }
}

}  // namespace rnd1
