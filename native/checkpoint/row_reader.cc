#include "checkpoint/row_reader.h"

#include <algorithm>
#include <cstring>
#include <string>

#include "core/error.h"
#include "core/sizes.h"

namespace rnd1 {
namespace {

int64_t columnsOf(const TensorLocation& location) {
  return location.shape.empty() ? 1 : location.shape.back();
}

int64_t rowBytesOf(const TensorLocation& location) {
  const int64_t columns = columnsOf(location);
  if (location.blocks == BlockType::none)
    return sizeProduct(columns, static_cast<int64_t>(dtypeSize(location.dtype)));
  const BlockSize size = blockSize(location.blocks);
  return sizeProduct(columns / size.columns, size.bytes);
}

}  // namespace

void checkStorage(const TensorLocation& location) {
  const auto refuse = [&](const std::string& problem) {
    throw Error(ErrorCode::invalidCheckpoint, "tensor " + location.name + " has " + problem);
  };
  const int64_t columns = columnsOf(location), head = location.headRows;
  if (location.blocks != BlockType::none && columns % blockSize(location.blocks).columns != 0)
    refuse(std::to_string(columns) + " columns, which are not whole blocks of " +
           std::to_string(blockSize(location.blocks).columns));
  if (head == 0) return;
  if (location.shape.size() != 2 || head < 0 || head % 2 != 0 || location.shape[0] % head != 0)
    refuse("rows that are not whole heads of " + std::to_string(head));
}

int64_t storedBytes(const TensorLocation& location) {
  int64_t bytes = rowBytesOf(location);
  for (size_t i = 0; i + 1 < location.shape.size(); ++i) bytes = sizeProduct(bytes, location.shape[i]);
  return bytes;
}

RowReader::RowReader(const File& file, const TensorLocation& location)
    : file_(&file),
      location_(&location),
      columns_(columnsOf(location)),
      storedRowBytes_(rowBytesOf(location)) {}

int64_t RowReader::storedRow(int64_t row) const {
  const int64_t head = location_->headRows;
  if (head == 0) return row;
  // The file has rows i and i + head / 2 side by side.
  const int64_t inside = row % head, half = head / 2;
  return row - inside + inside % half * 2 + inside / half;
}

std::span<const std::byte> RowReader::readStored(int64_t first, int64_t count) {
  stored_.resize(static_cast<size_t>(count * storedRowBytes_));
  const auto offsetOf = [&](int64_t row) {
    return location_->offset + static_cast<uint64_t>(row * storedRowBytes_);
  };
  if (location_->headRows == 0) {
    file_->read(offsetOf(first), stored_);
    return stored_;
  }
  const auto bytes = static_cast<size_t>(storedRowBytes_);
  for (int64_t row = 0; row < count; ++row)
    file_->read(offsetOf(storedRow(first + row)),
                std::span(stored_).subspan(static_cast<size_t>(row) * bytes, bytes));
  return stored_;
}

const float* RowReader::decode(std::span<const std::byte> rows) {
  const int64_t count = static_cast<int64_t>(rows.size()) / storedRowBytes_;
  decoded_.resize(static_cast<size_t>(count * columns_));
  for (int64_t row = 0; row < count; ++row)
    decodeRow(location_->blocks, rows.data() + row * storedRowBytes_, columns_,
              decoded_.data() + row * columns_);
  return decoded_.data();
}

void RowReader::read(int64_t first, int64_t count, std::byte* out) {
  const auto rows = readStored(first, count);
  if (location_->blocks == BlockType::none) {
    std::memcpy(out, rows.data(), rows.size());
    return;
  }
  const float* values = decode(rows);
  if (location_->dtype == DType::f32) {
    std::memcpy(out, values, static_cast<size_t>(count * columns_) * sizeof(float));
    return;
  }
  for (int64_t i = 0; i < count * columns_; ++i) {
    const uint16_t bits = location_->dtype == DType::bf16 ? floatToBf16(values[i]) : floatToF16(values[i]);
    std::memcpy(out + i * 2, &bits, sizeof bits);
  }
}

bool RowReader::quantize(const QuantizedShape& shape, int64_t first, int64_t count,
                         const QuantizedPanel& target) {
  const int64_t firstRow = first * panelRows;
  const int64_t rows = std::min(count * panelRows, shape.rows - firstRow);
  const auto stored = readStored(firstRow, rows);
  const bool keeps = keepsIntegers(location_->blocks, shape);
  const bool decodes = location_->blocks != BlockType::none && !keeps;
  const std::byte* source = decodes ? reinterpret_cast<const std::byte*>(decode(stored)) : stored.data();
  const int64_t stride = decodes ? columns_ * static_cast<int64_t>(sizeof(float)) : storedRowBytes_;
  const DType dtype = decodes ? DType::f32 : location_->dtype;
  for (int64_t row = 0; row < rows; row += panelRows) {
    const int64_t index = row / panelRows;
    const QuantizedPanel panel{target.data + index * shape.panelBytes(),
                               target.scales + index * shape.panelScales(),
                               target.minimums ? target.minimums + index * shape.panelScales() : nullptr};
    const int64_t present = std::min(panelRows, rows - row);
    const bool done =
        keeps ? transcodePanel(location_->blocks, shape, source + row * stride, stride, present, panel)
              : quantizePanel(shape, source + row * stride, dtype, stride, present, panel);
    if (!done) return false;
  }
  return true;
}

}  // namespace rnd1
