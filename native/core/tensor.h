#pragma once

#include <cstddef>
#include <cstdint>

#include "core/dtype.h"

namespace rnd1 {

/**
 * A borrowed view of f32 activations, row-major, in the memory of a backend.
 * Values that feed a product are already rounded to the arithmetic dtype by the verb that wrote them.
 */
struct Tensor {
  float* data = nullptr;
  int64_t rows = 0;
  int64_t columns = 0;
  int64_t stride = 0;  // elements from one row to the next

  // constexpr, here and below, is what kernels may call.
  constexpr Tensor() = default;
  constexpr Tensor(float* data, int64_t rows, int64_t columns) : Tensor(data, rows, columns, columns) {}
  constexpr Tensor(float* data, int64_t rows, int64_t columns, int64_t stride)
      : data(data), rows(rows), columns(columns), stride(stride) {}

  constexpr float* row(int64_t index) const { return data + index * stride; }
  constexpr Tensor firstRows(int64_t count) const { return {data, count, columns, stride}; }
  constexpr Tensor rowRange(int64_t first, int64_t count) const {
    return {row(first), count, columns, stride};
  }
  constexpr Tensor columnRange(int64_t first, int64_t count) const {
    return {data + first, rows, count, stride};
  }
};

/**
 * A borrowed view of a weight, [rows, columns] = [outputs, inputs] as checkpoints store it; a vector is one
 * row. `data` may be unaligned: a mapped file is used in place.
 */
struct Weight {
  const std::byte* data = nullptr;
  DType dtype = DType::f32;
  int64_t rows = 0;
  int64_t columns = 0;
  int64_t strideBytes = 0;        // from one row to the next
  const float* scales = nullptr;  // per row group, for quantized weights; null otherwise

  Weight() = default;
  Weight(const void* data, DType dtype, int64_t rows, int64_t columns)
      : data(static_cast<const std::byte*>(data)),
        dtype(dtype),
        rows(rows),
        columns(columns),
        strideBytes(columns * static_cast<int64_t>(dtypeSize(dtype))) {}
  int64_t bytes() const { return rows * strideBytes; }
};

}  // namespace rnd1
