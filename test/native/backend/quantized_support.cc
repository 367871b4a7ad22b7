#include "quantized_support.h"

#include <algorithm>
#include <cmath>

#include "core/fp8.h"
#include "emulated_tiles.h"

namespace rnd1::test {

std::vector<QuantizedKind> kindsOn(const Backend& backend, std::initializer_list<size_t> indices) {
  std::vector<QuantizedKind> kinds;
  for (const size_t index : indices) kinds.push_back(quantizedKinds[index]);
  if (backend.copiesOnPlace()) kinds.push_back(fp8Kind);
  return kinds;
}

std::string nameOf(const QuantizedKind& kind) {
  return text(dtypeName(kind.dtype), ", groups of ", kind.group);
}

QuantizedMatrix::QuantizedMatrix(const Matrix& values, const QuantizedKind& kind, size_t misalignment)
    : shape_{kind.dtype, values.rows, values.columns, kind.group},
      misalignment_(misalignment),
      // No padding at the end: a read beyond it is a read beyond the file.
      data_(misalignment + static_cast<size_t>(shape_.dataBytes())),
      scales_(misalignment + static_cast<size_t>(shape_.scaleCount())),
      minimums_(hasMinimums(kind.dtype) ? scales_.size() : 0) {
  if (kind.dtype == DType::fp8) {
    quantizeToFp8(values);
  } else {
    quantize(values);
  }
}

void QuantizedMatrix::quantizeToFp8(const Matrix& values) {
  std::vector<uint8_t> numbers(static_cast<size_t>(fp8Block * values.columns));
  std::vector<float> scales(static_cast<size_t>(fp8Blocks(values.columns)));
  for (int64_t row = 0; row < values.rows; row += fp8Block) {
    const int64_t rows = std::min(fp8Block, values.rows - row), panel = row / panelRows;
    const auto* source = reinterpret_cast<const std::byte*>(values.row(row));
    bool good = quantizeFp8(source, DType::f32, values.columns * 4, rows, values.columns, numbers.data(),
                            scales.data());
    // Files of others have any scale.
    for (size_t i = 0; i < scales.size(); ++i) scales[i] *= 0.6f + 0.1f * static_cast<float>(i % 3);
    const QuantizedPanel first{data_.data() + misalignment_ + panel * shape_.panelBytes(),
                               scales_.data() + misalignment_ + panel * shape_.panelScales(), nullptr};
    good = good && fp8Panels(shape_, numbers.data(), scales.data(), rows, first);
    expect(good, "the weights can be quantized");
  }
}

void QuantizedMatrix::quantize(const Matrix& values) {
  for (int64_t panel = 0; panel < shape_.panels(); ++panel) {
    const int64_t scales = static_cast<int64_t>(misalignment_) + panel * shape_.panelScales();
    const QuantizedPanel target{data_.data() + misalignment_ + panel * shape_.panelBytes(),
                                scales_.data() + scales,
                                hasMinimums(shape_.dtype) ? minimums_.data() + scales : nullptr};
    expect(
        quantizePanel(shape_, reinterpret_cast<const std::byte*>(values.row(panel * panelRows)), DType::f32,
                      values.columns * 4, std::min(panelRows, values.rows - panel * panelRows), target),
        "the weights can be quantized");
  }
}

void QuantizedMatrix::makeExtreme(Noise& noise) {
  for (uint8_t& byte : data_) {
    if (shape_.dtype == DType::fp8) {
      byte = static_cast<uint8_t>((noise.uniform() < 0.5 ? 0x7e : 0x01) | (noise.uniform() < 0.5 ? 0x80 : 0));
    } else if (shape_.dtype == DType::q8) {
      byte = noise.uniform() < 0.5 ? 0 : 255;
    }
  }
  if (!hasMinimums(shape_.dtype)) return;
  for (int64_t panel = 0; panel < shape_.panels(); ++panel)
    for (int64_t row = 0; row < panelRows; ++row)
      for (int64_t column = 0; column < shape_.paddedColumns(); ++column)
        shape_.setStored(data_.data() + misalignment_ + panel * shape_.panelBytes(), row, column,
                         static_cast<uint8_t>(noise.uniform() < 0.5 ? 0 : largestInteger(shape_.dtype)));
}

Weight QuantizedMatrix::mapped() const {
  return quantizedWeight(shape_, data_.data() + misalignment_, scales_.data() + misalignment_,
                         minimums_.empty() ? nullptr : minimums_.data() + misalignment_);
}

Matrix QuantizedMatrix::values() const {
  Matrix result(shape_.rows, shape_.columns);
  dequantizeRows(mapped(), 0, shape_.rows, result.values.data(), shape_.columns);
  return result;
}

Matrix QuantizedMatrix::valuesOnGpu(DType computeDtype) const {
  if (computeDtype == DType::f32) return values();
  const Weight weight = mapped();
  if (shape_.dtype == DType::fp8) {
    Matrix result = values();
    for (float& value : result.values) value = roundTo(computeDtype, value);
    return result;
  }
  const bool q8 = shape_.dtype == DType::q8;
  // What is added to the integers before they are multiplied by the scale.
  const bool q5 = shape_.dtype == DType::q5;
  const float base = q8 ? -128 : q5 ? 32 : 16;
  const double middle = q5 ? 15.5 : 7.5;
  Matrix result = values();
  for (int64_t row = 0; row < result.rows; ++row)
    for (int64_t column = 0; column < result.columns; ++column) {
      const int64_t at =
          (row / panelRows * shape_.groups() + column / shape_.group) * panelRows + row % panelRows;
      const float scale = f16ToFloat(weight.scales[at]);
      const float minimum = q8 ? -128 * scale : f16ToFloat(weight.minimums[at]);
      // The integer, from which the dequantized value is not far.
      const float stored = scale == 0 ? 0 : std::nearbyint((result.at(row, column) - minimum) / scale);
      const float used = roundTo(computeDtype, scale);
      // Exact in the middle of the range.
      const double offset = q8 ? 0 : minimum + middle * scale - (base + middle) * used;
      result.at(row, column) = roundTo(
          computeDtype, std::fma(used, stored + base, roundTo(computeDtype, static_cast<float>(offset))));
    }
  return result;
}

Matrix throughBytes(const Matrix& x, int64_t group) {
  Matrix result(x.rows, x.columns);
  for (int64_t row = 0; row < x.rows; ++row)
    for (int64_t first = 0; first < x.columns; first += group) {
      const int64_t end = std::min(first + group, x.columns);
      float largest = 0;
      for (int64_t column = first; column < end; ++column)
        largest = std::max(largest, std::abs(x.at(row, column)));
      for (int64_t column = first; column < end; ++column) {
        const float inverse = largest > 0 ? 127 / largest : 0;
        result.at(row, column) = largest / 127 * std::nearbyint(x.at(row, column) * inverse);
      }
    }
  return result;
}

Matrix Products::matmul(const Matrix& x, std::span<const Weight> weights) {
  int64_t columns = 0;
  for (const Weight& weight : weights) columns += weight.rows;
  HostMatrix input(x), out(x.rows, columns);
  ops.matmul(input.tensor(), weights, out.tensor());
  return out.host();
}

void forEachQuantizedKernels(const std::function<void(const cpu::QuantizedKernels&)>& body) {
  std::vector<const cpu::QuantizedKernels*> all = cpu::runnableQuantizedKernels();
  all.push_back(&emulatedQuantizedTiles());
  for (const cpu::QuantizedKernels* kernels : all) {
    const Scope scope(kernels->name);
    body(*kernels);
  }
}

Matrix HostMatrix::host(Location location) const {
  Matrix result(rows_, columns_);
  bool untouched = true;
  for (int64_t row = 0; row < rows_; ++row)
    for (int64_t column = 0; column < stride_; ++column) {
      const float value = values_[static_cast<size_t>(row * stride_ + column)];
      if (column < columns_) {
        result.at(row, column) = value;
      } else {
        untouched = untouched && std::isnan(value);
      }
    }
  expect(untouched, "something was written between the rows", location);
  return result;
}

}  // namespace rnd1::test
