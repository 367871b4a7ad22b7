#pragma once

#include <cstddef>
#include <cstdint>

#include "core/dtype.h"
#include "core/sizes.h"

namespace rnd1 {

/**
 * A borrowed view of activations, row-major, in the memory of a backend: f32, or for those that a matmul
 * reads what Backend::activationDtype says. In f32 too they are rounded to the compute dtype by the op that
 * wrote them.
 */
struct Tensor {
  float* data = nullptr;  // where the first value is, of any dtype
  int64_t rows = 0;
  int64_t columns = 0;
  int64_t stride = 0;  // elements from one row to the next
  // Number of valid rows, if only known when an op runs (Backend::bucket): the first min(rows, *validRows −
  // before) are valid. In backend memory; null: all.
  const int32_t* validRows = nullptr;
  int64_t before = 0;
  DType dtype =
      DType::f32;  // or 16-bit: then columns and stride are multiples of 8, and rows aligned to 16 bytes

  // constexpr functions, here and below, may be called by kernels.
  constexpr Tensor() = default;
  constexpr Tensor(float* data, int64_t rows, int64_t columns) : Tensor(data, rows, columns, columns) {}
  constexpr Tensor(float* data, int64_t rows, int64_t columns, int64_t stride)
      : data(data), rows(rows), columns(columns), stride(stride) {}

  /** A row of f32. */
  constexpr float* row(int64_t index) const { return data + index * stride; }

  constexpr Tensor rowRange(int64_t first, int64_t count) const {
    Tensor part = limitedTo(validRows, before + first);
    part.data = at(first * stride);
    part.rows = count;
    return part;
  }
  constexpr Tensor columnRange(int64_t first, int64_t count) const {
    Tensor part = *this;
    part.data = at(first);
    part.columns = count;
    return part;
  }
  /** The same memory as values of a 16-bit dtype that fill the first half of each row, or unchanged for f32.
   */
  constexpr Tensor narrowed(DType type) const {
    Tensor tensor = *this;
    if (type != DType::f32) tensor.stride *= 2;
    tensor.dtype = type;
    return tensor;
  }
  /** 16-bit values as pairs of them, to be copied; f32 unchanged. */
  constexpr Tensor words() const {
    Tensor tensor = *this;
    if (dtype == DType::f32) return tensor;
    tensor.dtype = DType::f32;
    tensor.columns /= 2;
    tensor.stride /= 2;
    return tensor;
  }
  /** The same view with a valid row count. */
  constexpr Tensor limitedTo(const int32_t* count, int64_t rowsBefore = 0) const {
    Tensor tensor = *this;
    tensor.validRows = count;
    tensor.before = rowsBefore;
    return tensor;
  }
  /** Reads `validRows`: call it on the backend's device, when the count has been written. */
  constexpr int64_t validRowCount() const {
    if (!validRows) return rows;
    const int64_t left = *validRows - before;
    return left < 0 ? 0 : left < rows ? left : rows;
  }

 private:
  /** Of an even index if the values have 16 bits. */
  constexpr float* at(int64_t element) const { return data + (dtype == DType::f32 ? element : element / 2); }
};

/**
 * A borrowed view of a weight, [rows, columns] = [outputs, inputs] as checkpoints store it; a vector is one
 * row. `data` may be unaligned: a mapped file is used in place.
 *
 * A quantized weight has `group` > 0 and is stored in panels of 16 rows with their own scales
 * (core/quantized.h): rows are not contiguous, and `strideBytes` is a panel's bytes divided by 16.
 */
struct Weight {
  const std::byte* data = nullptr;
  DType dtype = DType::f32;
  int64_t rows = 0;
  int64_t columns = 0;
  int64_t strideBytes = 0;             // from one row to the next; quantized: from one panel to the next / 16
  const uint16_t* scales = nullptr;    // f16, (panels, groups, 16); null unless quantized
  const uint16_t* minimums = nullptr;  // f16, same shape; null: the format's fixed zero point
  int32_t group = 0;                   // columns that share a scale; 0 = not quantized
  bool inTiles = false;  // quantized, on a GPU: scales stand between the integers (cuda/quantized_layout.h)

  Weight() = default;
  Weight(const void* data, DType dtype, int64_t rows, int64_t columns)
      : data(static_cast<const std::byte*>(data)),
        dtype(dtype),
        rows(rows),
        columns(columns),
        strideBytes(sizeProduct(columns, dtypeSize(dtype))) {}

  bool quantized() const { return group > 0; }

  /** Includes scales and padding. Throws Error out_of_memory if the result exceeds int64_t. */
  int64_t bytes() const {
    if (!quantized()) return sizeProduct(rows, strideBytes);
    const int64_t panels = sizeSum(rows, 15) / 16;
    if (inTiles) return sizeProduct(panels, 16, strideBytes);
    const int64_t groups = sizeSum(columns, group - 1) / group;
    return sizeProduct(panels, 16, sizeSum(strideBytes, sizeProduct(groups, minimums ? 4 : 2)));
  }
};

}  // namespace rnd1
