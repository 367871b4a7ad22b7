// Numbers of e4m3, their blocks and panels, against the format's definition.
#include "core/fp8.h"

#include <cmath>
#include <cstring>
#include <limits>

#include "backends.h"

namespace rnd1::test {
namespace {

/** A sign, 4 bits of exponent with bias 7, 3 of fraction; exponent 0 has no leading one. */
double numberOf(int bits) {
  const int exponent = bits >> 3 & 15, fraction = bits & 7;
  const double magnitude =
      exponent == 0 ? fraction * std::pow(2.0, -9) : (1 + fraction / 8.0) * std::pow(2.0, exponent - 7);
  return bits & 0x80 ? -magnitude : magnitude;
}

bool isNumber(int bits) { return (bits & 0x7f) != 0x7f; }

void decodes() {
  for (int bits = 0; bits < 256; ++bits) {
    const float value = fp8ToFloat(static_cast<uint8_t>(bits));
    const bool right = isNumber(bits) ? value == static_cast<float>(numberOf(bits)) : std::isnan(value);
    expect(right && (std::signbit(value) == (bits >= 0x80) || std::isnan(value)), text(bits, ": ", value));
  }
  expectEqual(fp8ToFloat(0x7e), 448.0f, "the largest");
}

void roundsToTheNearest() {
  Noise noise(91);
  const auto check = [](float value) {
    int nearest = 0;
    for (int bits = 0; bits < 127; ++bits) {
      const double old = std::fabs(numberOf(nearest) - std::fabs(value));
      const double distance = std::fabs(numberOf(bits) - std::fabs(value));
      if (distance < old || (distance == old && bits % 2 == 0)) nearest = bits;
    }
    const int expected = nearest | (std::signbit(value) ? 0x80 : 0);
    expectEqual(static_cast<int>(floatToFp8(value)), expected, text(value));
  };
  for (int bits = 0; bits < 256; ++bits)
    if (isNumber(bits)) {
      const auto value = static_cast<float>(numberOf(bits));
      const auto next = static_cast<float>(numberOf(bits & 0x7f ? bits - 1 : bits));
      check(value);
      const float middle = (value + next) / 2;
      for (const float other : {middle, std::nextafter(middle, 1e9f), std::nextafter(middle, -1e9f)})
        check(other);
    }
  for (int i = 0; i < 2000; ++i)
    check((noise.uniform() - 0.5f) * std::ldexp(1.0f, static_cast<int>(i % 24) - 14));
  for (const float large : {449.0f, 464.0f, 1e30f, std::numeric_limits<float>::infinity()}) check(large);
}

/** A matrix in blocks, arranged as panels. */
struct Blocks {
  QuantizedShape shape;
  std::vector<uint8_t> numbers, data;
  std::vector<float> scales;
  std::vector<uint16_t> panelScales;
  bool good = true;

  Blocks(const Matrix& values, DType dtype = DType::f32)
      : shape{DType::fp8, values.rows, values.columns, 64},
        numbers(static_cast<size_t>(values.rows * values.columns)),
        data(static_cast<size_t>(shape.dataBytes()), 0x55),
        scales(static_cast<size_t>(fp8Blocks(values.rows) * fp8Blocks(values.columns))),
        panelScales(static_cast<size_t>(shape.scaleCount()), 0x5555) {
    const HostWeight source(values, dtype, 1);
    const Weight weight = source.mapped();
    for (int64_t row = 0; row < values.rows; row += fp8Block)
      good = good && quantizeFp8(weight.data + row * weight.strideBytes, dtype, weight.strideBytes,
                                 std::min(fp8Block, values.rows - row), values.columns,
                                 numbers.data() + row * values.columns, scalesOf(row));
  }

  float* scalesOf(int64_t row) { return scales.data() + row / fp8Block * fp8Blocks(shape.columns); }
  bool arrange() {
    for (int64_t row = 0; row < shape.rows; row += fp8Block) {
      const int64_t panel = row / panelRows;
      if (!fp8Panels(shape, numbers.data() + row * shape.columns, scalesOf(row),
                     std::min(fp8Block, shape.rows - row),
                     {data.data() + panel * shape.panelBytes(),
                      panelScales.data() + panel * shape.panelScales(), nullptr}))
        return false;
    }
    return true;
  }
};

void scalesArePowersOfTwo() {
  Noise noise(92);
  for (const auto& [rows, columns] : {std::pair(1, 1), {5, 300}, {128, 128}, {129, 127}, {300, 257}}) {
    const Scope scope(text(rows, " × ", columns));
    const Matrix values = noise.matrix(rows, columns, DType::bf16, 0.02f);
    for (const DType dtype : {DType::f32, DType::bf16}) {
      Blocks blocks(values, dtype);
      expect(blocks.good && blocks.arrange(), "it can be quantized");
      Matrix back(rows, columns);
      dequantizeRows(quantizedWeight(blocks.shape, blocks.data.data(), blocks.panelScales.data(), nullptr), 0,
                     rows, back.values.data(), columns);
      for (int64_t row = 0; row < rows; ++row)
        for (int64_t column = 0; column < columns; ++column) {
          const float scale = blocks.scalesOf(row)[column / fp8Block];
          int exponent;
          expectEqual(std::frexp(scale, &exponent), 0.5f, "the scale's fraction");
          const double number = numberOf(floatToFp8(values.at(row, column) / scale));
          expectEqual(static_cast<double>(back.at(row, column)), number * scale, text(row, ", ", column));
        }
    }
  }
}

void usesTheRange() {
  for (const auto& [largest, scale] :
       {std::pair(448.0f, 1.0f), {449.0f, 2.0f}, {224.0f, 0.5f}, {57344.0f, 128.0f}, {0.0f, 1.0f}}) {
    Matrix values(3, 130);
    values.at(1, 7) = -largest;
    const Blocks blocks(values);
    expect(blocks.good, text(largest, " can be quantized"));
    expectEqual(blocks.scales[0], scale, text(largest));
    expectEqual(blocks.scales[1], 1.0f, "of zeros");
  }
  for (const float bad : {std::nanf(""), -std::numeric_limits<float>::infinity(), 57345.0f}) {
    Matrix values(3, 130);
    values.at(2, 129) = bad;
    expect(!Blocks(values).good, text(bad, " is refused"));
  }
}

void refusesPanels() {
  Noise noise(93);
  const Matrix values = noise.matrix(130, 130);
  Blocks blocks(values);
  expect(blocks.arrange(), "it is arranged");
  for (const float scale : {255.0f, -1.0f, 0.0f}) {
    blocks.scales[3] = scale;
    expect(blocks.arrange(), text("a scale of ", scale));
  }
  for (const float scale : {256.0f, -300.0f, std::nanf("")}) {
    blocks.scales[3] = scale;
    expect(!blocks.arrange(), text("a scale of ", scale));
  }
  blocks.scales[3] = 1;
  for (const uint8_t bits : {uint8_t{0x7f}, uint8_t{0xff}}) {
    blocks.numbers.back() = bits;
    expect(!blocks.arrange(), "NaN");
  }
}

/** Relative errors of a 3-bit fraction are uniform up to 2⁻⁴, whatever the scale. */
void losesLittle() {
  Noise noise(94);
  const Matrix values = noise.matrix(256, 1024, DType::f32, 0.02f);
  Blocks blocks(values);
  double error = 0, power = 0;
  for (int64_t row = 0; row < values.rows; ++row)
    for (int64_t column = 0; column < values.columns; ++column) {
      const auto at = static_cast<size_t>(row * values.columns + column);
      const double value = numberOf(blocks.numbers[at]) * blocks.scalesOf(row)[column / fp8Block];
      error += std::pow(value - values.values[at], 2);
      power += std::pow(static_cast<double>(values.values[at]), 2);
    }
  expect(error / power > 6e-4 && error / power < 7.5e-4, text("NMSE ", error / power));
}

const Tests fp8Tests{
    {"fp8: all numbers", decodes},
    {"fp8: the nearest number, ties to even", roundsToTheNearest},
    {"fp8: blocks of powers of two, as panels, against the definition", scalesArePowersOfTwo},
    {"fp8: the smallest scale that holds a block", usesTheRange},
    {"fp8: NaN and large scales are refused", refusesPanels},
    {"fp8: the error of normal weights", losesLittle},
};

}  // namespace
}  // namespace rnd1::test
