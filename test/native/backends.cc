#include "backends.h"

namespace rnd1::test {

void forEachBackend(const std::function<void(Backend&)>& body, int threads) {
  forEachFactory([&](const BackendFactory& make) { body(*make(threads)); });
}

HostWeight::HostWeight(const Matrix& values, DType dtype, size_t misalignment, int64_t rowPadding)
    : dtype_(dtype),
      misalignment_(misalignment),
      rows_(values.rows),
      columns_(values.columns),
      strideBytes_((values.columns + rowPadding) * static_cast<int64_t>(dtypeSize(dtype))),
      // No padding at the end: a read beyond it is a read beyond the file.
      bytes_(misalignment + static_cast<size_t>((values.rows - 1) * strideBytes_) +
                 static_cast<size_t>(values.columns) * dtypeSize(dtype),
             std::byte{0xff}) {
  const size_t size = dtypeSize(dtype);
  for (int64_t row = 0; row < rows_; ++row)
    for (int64_t column = 0; column < columns_; ++column) {
      const float value = values.at(row, column);
      std::byte* target =
          bytes_.data() + misalignment + row * strideBytes_ + column * static_cast<int64_t>(size);
      const uint16_t half = dtype == DType::bf16 ? floatToBf16(value) : floatToF16(value);
      std::memcpy(target, dtype == DType::f32 ? static_cast<const void*>(&value) : &half, size);
    }
}

Matrix HostWeight::values(DType computeDtype) const {
  Matrix result(rows_, columns_);
  for (int64_t row = 0; row < rows_; ++row)
    for (int64_t column = 0; column < columns_; ++column) {
      const std::byte* source = bytes_.data() + misalignment_ + row * strideBytes_ +
                                column * static_cast<int64_t>(dtypeSize(dtype_));
      float value = 0;
      if (dtype_ == DType::f32) {
        std::memcpy(&value, source, 4);
      } else {
        uint16_t half = 0;
        std::memcpy(&half, source, 2);
        value = halfToFloat(dtype_, half);
      }
      result.at(row, column) = roundTo(computeDtype, value);
    }
  return result;
}

Weight HostWeight::mapped() const {
  Weight weight(bytes_.data() + misalignment_, dtype_, rows_, columns_);
  weight.strideBytes = strideBytes_;
  return weight;
}

Matrix selectRows(const Matrix& matrix, std::span<const int64_t> rows) {
  Matrix result(static_cast<int64_t>(rows.size()), matrix.columns);
  for (size_t index = 0; index < rows.size(); ++index)
    std::copy(matrix.row(rows[index]), matrix.row(rows[index]) + matrix.columns,
              result.row(static_cast<int64_t>(index)));
  return result;
}

Matrix rowRange(const Matrix& matrix, int64_t first, int64_t count) {
  Matrix result(count, matrix.columns);
  std::copy(matrix.row(first), matrix.row(first) + count * matrix.columns, result.values.begin());
  return result;
}

}  // namespace rnd1::test
