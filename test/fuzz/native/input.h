#pragma once

#include <fuzzer/FuzzedDataProvider.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <vector>

#include "core/dtype.h"

/** What fuzz targets make of the bytes that libFuzzer gives them. */
namespace rnd1::fuzz {

using Input = FuzzedDataProvider;

/** What a target does with one input. */
void run(Input& input);

/** Mostly one of the sizes at which code decides, otherwise any up to `max`. */
inline int64_t smallSize(Input& input, int64_t min, int64_t max) {
  constexpr int64_t edges[] = {1, 2, 3, 4, 5, 7, 8, 15, 16, 17, 31, 32, 33, 48, 63, 64, 65, 96, 128};
  const int64_t size =
      input.ConsumeBool() ? input.PickValueInArray(edges) : input.ConsumeIntegralInRange<int64_t>(min, max);
  return std::min(std::max(size, min), max);
}

/** Also the numbers that break arithmetic. */
inline int64_t anySize(Input& input) {
  constexpr int64_t edges[] = {0,
                               -1,
                               1,
                               int64_t{1} << 24,
                               int64_t{1} << 31,
                               int64_t{1} << 40,
                               int64_t{1} << 52,
                               std::numeric_limits<int64_t>::max(),
                               std::numeric_limits<int64_t>::min()};
  return input.ConsumeBool() ? input.PickValueInArray(edges) : input.ConsumeIntegral<int64_t>();
}

/** Also NaN, infinities, subnormals and the largest. */
inline float anyFloat(Input& input) {
  constexpr float edges[] = {0.0f,
                             -0.0f,
                             1.0f,
                             -1.0f,
                             std::numeric_limits<float>::quiet_NaN(),
                             std::numeric_limits<float>::infinity(),
                             -std::numeric_limits<float>::infinity(),
                             std::numeric_limits<float>::max(),
                             std::numeric_limits<float>::lowest(),
                             std::numeric_limits<float>::denorm_min(),
                             65504.0f};
  if (input.ConsumeIntegralInRange<int>(0, 7) != 0) return input.ConsumeFloatingPointInRange(-30.0f, 30.0f);
  return input.PickValueInArray(edges);
}

/** As many as are asked for: the bytes of the input, over and over, with something of the index. */
inline std::vector<float> floats(Input& input, int64_t count) {
  std::vector<float> seeds;
  for (int i = 0; i < 16; ++i) seeds.push_back(anyFloat(input));
  std::vector<float> values(static_cast<size_t>(count));
  for (size_t i = 0; i < values.size(); ++i)
    values[i] = seeds[i % seeds.size()] * (1.0f + static_cast<float>(i % 31) / 32);
  return values;
}

/** The same as a weight's bytes. */
inline std::vector<std::byte> weightBytes(Input& input, DType dtype, int64_t count) {
  const std::vector<float> values = floats(input, count);
  std::vector<std::byte> bytes(values.size() * dtypeSize(dtype));
  for (size_t i = 0; i < values.size(); ++i) {
    if (dtype == DType::f32) {
      std::memcpy(bytes.data() + 4 * i, &values[i], 4);
    } else {
      const uint16_t bits = dtype == DType::f16 ? floatToF16(values[i]) : floatToBf16(values[i]);
      std::memcpy(bytes.data() + 2 * i, &bits, 2);
    }
  }
  return bytes;
}

inline DType unquantizedDType(Input& input) {
  constexpr DType dtypes[] = {DType::f32, DType::f16, DType::bf16};
  return input.PickValueInArray(dtypes);
}

}  // namespace rnd1::fuzz
