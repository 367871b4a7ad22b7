#include "checkpoint/row_reader.h"

#include <algorithm>
#include <cstring>
#include <string>

#include "core/error.h"
#include "core/fp8.h"
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

QuantizedPanel panelAt(const QuantizedShape& shape, const QuantizedPanel& first, int64_t index) {
  return {first.data + index * shape.panelBytes(), first.scales + index * shape.panelScales(),
          first.minimums ? first.minimums + index * shape.panelScales() : nullptr};
}

}  // namespace

void checkStorage(const TensorLocation& location) {
  const auto refuse = [&](const std::string& problem) {
    throw Error(ErrorCode::invalidCheckpoint, "tensor " + location.name + " has " + problem);
  };
  const int64_t columns = columnsOf(location), head = location.headRows;
  if (location.blocks == BlockType::fp8 && (location.shape.size() != 2 || head != 0))
    refuse("numbers of fp8, which only matrices in the order of the model may have");
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

int64_t blockScaleBytes(const TensorLocation& location) {
  if (location.blocks != BlockType::fp8) return 0;
  return sizeProduct(fp8Blocks(location.shape[0]), fp8Blocks(location.shape[1]),
                     static_cast<int64_t>(dtypeSize(location.blockScaleDtype)));
}

RowReader::RowReader(const std::vector<File>& files, const TensorLocation& location)
    : files_(&files),
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
  const File& file = (*files_)[location_->file];
  const auto offsetOf = [&](int64_t row) {
    return location_->offset + static_cast<uint64_t>(row * storedRowBytes_);
  };
  if (location_->headRows == 0) {
    file.read(offsetOf(first), stored_);
    return stored_;
  }
  const auto bytes = static_cast<size_t>(storedRowBytes_);
  for (int64_t row = 0; row < count; ++row)
    file.read(offsetOf(storedRow(first + row)),
              std::span(stored_).subspan(static_cast<size_t>(row) * bytes, bytes));
  return stored_;
}

void RowReader::readBlockScales(int64_t first, int64_t count) {
  const DType dtype = location_->blockScaleDtype;
  const int64_t perRow = fp8Blocks(columns_), firstBlock = first / fp8Block;
  const int64_t scales = perRow * (fp8Blocks(first + count) - firstBlock);
  const auto size = static_cast<int64_t>(dtypeSize(dtype));
  std::vector<std::byte> bytes(static_cast<size_t>(scales * size));
  (*files_)[location_->blockScales.file].read(
      location_->blockScales.offset + static_cast<uint64_t>(firstBlock * perRow * size), bytes);
  blockScales_.resize(static_cast<size_t>(scales));
  readFloats(bytes.data(), dtype, 0, scales, blockScales_.data());
}

const float* RowReader::decode(int64_t first, std::span<const std::byte> rows) {
  const int64_t count = static_cast<int64_t>(rows.size()) / storedRowBytes_;
  decoded_.resize(static_cast<size_t>(count * columns_));
  if (location_->blocks == BlockType::fp8) {
    readBlockScales(first, count);
    for (int64_t row = 0; row < count; ++row) {
      const float* scales =
          blockScales_.data() + ((first + row) / fp8Block - first / fp8Block) * fp8Blocks(columns_);
      for (int64_t column = 0; column < columns_; ++column) {
        const int64_t at = row * columns_ + column;
        decoded_[at] = scales[column / fp8Block] * fp8ToFloat(static_cast<uint8_t>(rows[at]));
      }
    }
    return decoded_.data();
  }
  for (int64_t row = 0; row < count; ++row)
    decodeRow(location_->blocks, rows.data() + row * storedRowBytes_, columns_,
              decoded_.data() + row * columns_);
  return decoded_.data();
}

RowReader::FloatRows RowReader::floatRows(int64_t first, std::span<const std::byte> stored) {
  if (location_->blocks == BlockType::none) return {stored.data(), storedRowBytes_, location_->dtype};
  return {reinterpret_cast<const std::byte*>(decode(first, stored)),
          columns_ * static_cast<int64_t>(sizeof(float)), DType::f32};
}

void RowReader::read(int64_t first, int64_t count, std::byte* out) {
  const auto rows = readStored(first, count);
  if (location_->blocks == BlockType::none) {
    std::memcpy(out, rows.data(), rows.size());
    return;
  }
  const float* values = decode(first, rows);
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
  if (shape.dtype == DType::fp8) {
    const auto fp8 = readFp8(firstRow, rows);
    if (!fp8) return false;
    for (int64_t row = 0; row < rows; row += fp8Block) {
      const int64_t panel = row / panelRows;
      if (!fp8Panels(shape, fp8->numbers.data() + row * columns_,
                     fp8->scales.data() + row / fp8Block * fp8Blocks(columns_),
                     std::min(fp8Block, rows - row), panelAt(shape, target, panel)))
        return false;
    }
    return true;
  }
  const auto stored = readStored(firstRow, rows);
  const bool keeps = keepsIntegers(location_->blocks, shape);
  const FloatRows source =
      keeps ? FloatRows{stored.data(), storedRowBytes_, location_->dtype} : floatRows(firstRow, stored);
  for (int64_t row = 0; row < rows; row += panelRows) {
    const QuantizedPanel panel = panelAt(shape, target, row / panelRows);
    const int64_t present = std::min(panelRows, rows - row);
    const bool done =
        keeps ? transcodePanel(location_->blocks, shape, source.row(row), source.strideBytes, present, panel)
              : quantizePanel(shape, source.row(row), source.dtype, source.strideBytes, present, panel);
    if (!done) return false;
  }
  return true;
}

std::optional<Fp8Rows> RowReader::readFp8(int64_t first, int64_t count) {
  const auto stored = readStored(first, count);
  if (location_->blocks == BlockType::fp8) {
    readBlockScales(first, count);
    return Fp8Rows{{reinterpret_cast<const uint8_t*>(stored.data()), stored.size()}, blockScales_};
  }
  const FloatRows source = floatRows(first, stored);
  numbers_.resize(static_cast<size_t>(count * columns_));
  blockScales_.resize(static_cast<size_t>(fp8Blocks(count) * fp8Blocks(columns_)));
  for (int64_t row = 0; row < count; row += fp8Block)
    if (!quantizeFp8(source.row(row), source.dtype, source.strideBytes, std::min(fp8Block, count - row),
                     columns_, numbers_.data() + row * columns_,
                     blockScales_.data() + row / fp8Block * fp8Blocks(columns_)))
      return std::nullopt;
  return Fp8Rows{numbers_, blockScales_};
}

}  // namespace rnd1
