// The quantizer against float64, its layout against docs/quantization.md.
#include <cmath>
#include <cstring>

#include "backends.h"
#include "core/quantized.h"

namespace rnd1::test {
namespace {

/** A quantized matrix with access to its elements. */
struct Quantized {
  QuantizedShape shape;
  std::vector<uint8_t> data;
  std::vector<uint16_t> scales, minimums;
  bool good = true;

  Quantized(const QuantizedShape& shape, const std::byte* source, DType dtype, int64_t strideBytes)
      : shape(shape),
        data(static_cast<size_t>(shape.dataBytes()), 0x55),
        scales(static_cast<size_t>(shape.scaleCount()), 0x5555),
        minimums(hasMinimums(shape.dtype) ? scales.size() : 0, 0x5555) {
    for (int64_t panel = 0; panel < shape.panels(); ++panel) {
      const QuantizedPanel target{data.data() + panel * shape.panelBytes(),
                                  scales.data() + panel * shape.panelScales(),
                                  minimums.empty() ? nullptr : minimums.data() + panel * shape.panelScales()};
      good &= quantizePanel(shape, source + panel * panelRows * strideBytes, dtype, strideBytes,
                            std::min(panelRows, shape.rows - panel * panelRows), target);
    }
  }
  Quantized(DType dtype, int32_t group, const Matrix& values)
      : Quantized({dtype, values.rows, values.columns, group},
                  reinterpret_cast<const std::byte*>(values.values.data()), DType::f32, values.columns * 4) {}

  /** Follows the documentation, not `byteOf`. */
  int stored(int64_t row, int64_t column) const {
    const int64_t padded = shape.groups() * shape.group;
    if (shape.dtype == DType::q8)
      return data[static_cast<size_t>(((row / 16 * (padded / 4) + column / 4) * 16 + row % 16) * 4 +
                                      column % 4)];
    const auto byteAt = [&](int64_t line) {
      return int{data[static_cast<size_t>((line * 16 + row % 16) * 4 + column % 4)]};
    };
    const auto nibbleOf = [&](int byte) { return column % 8 < 4 ? byte & 15 : byte >> 4; };
    if (shape.dtype == DType::q4) return nibbleOf(byteAt(row / 16 * (padded / 8) + column / 8));
    const int64_t first = (row / 16 * (padded / 32) + column / 32) * 5;
    return nibbleOf(byteAt(first + column % 32 / 8)) + (byteAt(first + 4) >> (column % 32 / 4)) % 2 * 16;
  }
  size_t groupIndex(int64_t row, int64_t group) const {
    return static_cast<size_t>((row / 16 * shape.groups() + group) * 16 + row % 16);
  }
  double scale(int64_t row, int64_t group) const { return f16ToFloat(scales[groupIndex(row, group)]); }
  double minimum(int64_t row, int64_t group) const {
    return minimums.empty() ? -128 * scale(row, group) : f16ToFloat(minimums[groupIndex(row, group)]);
  }
  double value(int64_t row, int64_t column) const {
    const int64_t group = column / shape.group;
    return scale(row, group) * stored(row, column) + minimum(row, group);
  }
  Matrix dequantized() const {
    Matrix result(shape.rows, shape.columns);
    const Weight weight =
        quantizedWeight(shape, data.data(), scales.data(), minimums.empty() ? nullptr : minimums.data());
    dequantizeRows(weight, 0, shape.rows, result.values.data(), shape.columns);
    return result;
  }
};

constexpr int64_t sizes[][2] = {{1, 1}, {16, 64}, {17, 33}, {5, 100}, {37, 128}, {16, 31}, {48, 27}};

template <typename Body>
void forEachShape(Body&& body) {
  Noise noise(71);
  for (const DType dtype : {DType::q8, DType::q5, DType::q4})
    for (const int32_t preferred : {64, 32})
      for (const auto& [rows, columns] : sizes) {
        const Scope scope(text(dtypeName(dtype), ", groups of ", preferred, ", ", rows, " × ", columns));
        body(dtype, quantizedGroup(columns, preferred), noise.matrix(rows, columns));
      }
}

/** Squared error of a group with the simple choice: the range of the values in equal steps. */
double plainError(const Matrix& values, int64_t row, int64_t first, int64_t end, int last) {
  double min = INFINITY, max = -INFINITY, error = 0;
  for (int64_t i = first; i < end; ++i) {
    min = std::min<double>(min, values.at(row, i));
    max = std::max<double>(max, values.at(row, i));
  }
  const double step = (max - min) / last;
  for (int64_t i = first; i < end; ++i) {
    const double value = values.at(row, i);
    const double off = step > 0 ? min + step * std::round((value - min) / step) - value : 0;
    error += off * off;
  }
  return error;
}

void choosesTheNearest() {
  forEachShape([](DType dtype, int32_t group, const Matrix& values) {
    const Quantized q(dtype, group, values);
    expect(q.good, "it cannot be quantized");
    const int min = dtype == DType::q8 ? 1 : 0, max = dtype == DType::q8 ? 255 : dtype == DType::q5 ? 31 : 15;
    for (int64_t row = 0; row < values.rows; ++row)
      for (int64_t g = 0; g < q.shape.groups(); ++g) {
        const int64_t first = g * group, end = std::min(first + group, values.columns);
        double magnitude = 0, error = 0;
        for (int64_t column = first; column < end; ++column) {
          const double value = values.at(row, column);
          magnitude = std::max(magnitude, std::fabs(value));
          const double exact =
              std::min<double>(std::max<double>((value - q.minimum(row, g)) / q.scale(row, g), min), max);
          // Half a step, plus the f32 error for ties.
          if (!expect(std::fabs(q.stored(row, column) - exact) <= 0.5 + 1e-4,
                      text("row ", row, " column ", column, " is ", q.stored(row, column), ", not ", exact)))
            return;
          const double off = q.value(row, column) - value;
          error += off * off;
        }
        if (dtype == DType::q8) {
          expectEqual(q.scales[q.groupIndex(row, g)], floatToF16(static_cast<float>(magnitude) / 127),
                      "scale");
        } else {
          // Rounding the minimum to f16 may add a small error if the simple choice is exact.
          const double rounding = static_cast<double>(end - first) * std::pow(magnitude * 0x1p-10, 2);
          expect(error <= plainError(values, row, first, end, max) + rounding,
                 text("row ", row, " group ", g, ": error ", error));
        }
      }
  });
}

void fillsWhatIsMissing() {
  forEachShape([](DType dtype, int32_t group, const Matrix& values) {
    const Quantized q(dtype, group, values);
    const int zero = dtype == DType::q8 ? 128 : dtype == DType::q4 ? 8 : 0;
    for (int64_t row = 0; row < q.shape.panels() * 16; ++row) {
      for (int64_t column = row < values.rows ? values.columns : 0; column < q.shape.paddedColumns();
           ++column)
        if (!expect(q.stored(row, column) == zero, text("row ", row, " column ", column))) return;
      for (int64_t g = 0; g < q.shape.groups() && row >= values.rows; ++g)
        if (!expect(q.scale(row, g) == 0 && q.minimum(row, g) == 0, text("row ", row, " has a scale")))
          return;
    }
  });
}

void widensAgain() {
  forEachShape([](DType dtype, int32_t group, const Matrix& values) {
    const Quantized q(dtype, group, values);
    const Matrix back = q.dequantized();
    for (int64_t row = 0; row < values.rows; ++row)
      for (int64_t column = 0; column < values.columns; ++column)
        if (!expect(back.at(row, column) == static_cast<float>(q.value(row, column)),
                    text("row ", row, " column ", column)))
          return;
    // Values on the grid are reproduced exactly.
    const Quantized again(dtype, group, back);
    const Matrix twice = again.dequantized();
    double error = 0, power = 0;
    for (size_t i = 0; i < back.values.size(); ++i) {
      error += std::pow(static_cast<double>(twice.values[i]) - back.values[i], 2);
      power += std::pow(static_cast<double>(back.values[i]), 2);
    }
    expect(error <= 1e-6 * power, text("a second time costs ", error / power));
  });
}

void takesEverySource() {
  Noise noise(72);
  const Matrix values = noise.matrix(21, 96);
  for (const DType source : {DType::f32, DType::f16, DType::bf16})
    for (const DType dtype : {DType::q8, DType::q5, DType::q4}) {
      const Scope scope(text(dtypeName(source), " to ", dtypeName(dtype)));
      Matrix rounded = values;
      for (float& value : rounded.values) value = roundTo(source, value);
      const Quantized expected(dtype, 32, rounded);
      const HostWeight host(rounded, source, 3, 5);
      const Weight wide = host.mapped();
      const Quantized actual({dtype, 21, 96, 32}, wide.data, source, wide.strideBytes);
      expect(actual.data == expected.data && actual.scales == expected.scales &&
                 actual.minimums == expected.minimums,
             "other bits");
    }
}

void holdsExtremes() {
  for (const DType dtype : {DType::q8, DType::q5, DType::q4}) {
    const Scope scope(dtypeName(dtype));
    const auto quantized = [&](float value, float rest) {
      Matrix values(1, 64);
      for (float& element : values.values) element = rest;
      values.at(0, 3) = value;
      return Quantized(dtype, 64, values);
    };
    for (const float bad : {std::nanf(""), INFINITY, -INFINITY, 1e9f, 3e38f}) {
      expect(!quantized(bad, 1).good, text(bad, " has no scale"));
      expect(!quantized(1, bad).good, text(bad, " everywhere has no scale"));
    }
    const Quantized zeros = quantized(0, 0);
    expect(zeros.good && zeros.scale(0, 0) == 0 && zeros.value(0, 5) == 0, "zeros");
    // The smallest f16 scales do not vanish.
    for (const float tiny : {0x1p-20f, 0x1p-24f, 0x1p-30f, 0x1p-126f}) {
      const Quantized small = quantized(-tiny, tiny);
      expect(small.good && small.scale(0, 0) > 0, text(tiny, " has a scale"));
      expect(std::fabs(small.value(0, 3) + tiny) <= std::max<double>(0x1p-24, tiny / 15),
             text(tiny, " becomes ", small.value(0, 3)));
    }
    for (const float large : {60000.0f, -60000.0f}) {
      const Quantized big = quantized(large, 1);
      expect(big.good && std::fabs(big.value(0, 3) - large) <= 60000.0 / 15, text(large, " is kept"));
    }
    const Quantized same = quantized(0.37f, 0.37f);
    for (const int64_t column : {0, 3, 63})
      expect(std::fabs(same.value(0, column) - 0.37) < 2e-3, "a constant is kept");
  }
}

void losesLittle() {
  Noise noise(73);
  const Matrix values = noise.matrix(64, 2048);
  for (const auto& [dtype, group, max] : {std::tuple{DType::q8, 64, 4e-5},
                                          {DType::q5, 64, 1.8e-3},
                                          {DType::q5, 32, 1.4e-3},
                                          {DType::q4, 64, 7.5e-3},
                                          {DType::q4, 32, 5.7e-3}}) {
    const Matrix back = Quantized(dtype, group, values).dequantized();
    double error = 0, power = 0;
    for (size_t i = 0; i < back.values.size(); ++i) {
      error += std::pow(static_cast<double>(back.values[i]) - values.values[i], 2);
      power += std::pow(static_cast<double>(values.values[i]), 2);
    }
    expect(error / power <= max, text(dtypeName(dtype), ", groups of ", group, ": NMSE ", error / power));
  }
}

const Tests quantizerTests{
    {"quantizer: the nearest integers under the scales", choosesTheNearest},
    {"quantizer: missing rows and columns hold the zero point", fillsWhatIsMissing},
    {"quantizer: widened again, and again quantized", widensAgain},
    {"quantizer: f32, f16 and bf16 sources, unaligned", takesEverySource},
    {"quantizer: NaN, infinity, zeros, tiny and large numbers", holdsExtremes},
    {"quantizer: the error of normal weights", losesLittle},
};

}  // namespace
}  // namespace rnd1::test
