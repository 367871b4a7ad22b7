#include "checkpoint/block_types.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>
#include <stdexcept>

namespace rnd1 {
namespace {

/** Columns that share a scale in the formats of 4 bits. */
constexpr int64_t groupColumns = 32;

uint8_t byteAt(const std::byte* source, int64_t index) { return static_cast<uint8_t>(source[index]); }

float halfAt(const std::byte* source) {
  uint16_t bits;
  std::memcpy(&bits, source, sizeof bits);
  return f16ToFloat(bits);
}

/** 32 columns: value = scale · stored + minimum. */
struct Group {
  float scale, minimum;
  std::array<uint8_t, groupColumns> stored;
};

/** The low or high half of each of 32 bytes. */
void readNibbles(const std::byte* source, bool high, Group& group) {
  for (int64_t i = 0; i < groupColumns; ++i)
    group.stored[i] = static_cast<uint8_t>(high ? byteAt(source, i) >> 4 : byteAt(source, i) & 15);
}

/** The group-th 32 columns of a row of q4_0 or q5_0. */
Group groupOfSmallBlock(BlockType blocks, const std::byte* row, int64_t index) {
  const bool five = blocks == BlockType::q5_0;
  const std::byte* block = row + index * blockSize(blocks).bytes;
  const std::byte* nibbles = block + (five ? 6 : 2);
  Group group;
  group.scale = halfAt(block);
  group.minimum = (five ? -16 : -8) * group.scale;
  for (int64_t i = 0; i < groupColumns / 2; ++i) {
    group.stored[i] = byteAt(nibbles, i) & 15;
    group.stored[i + groupColumns / 2] = byteAt(nibbles, i) >> 4;
  }
  for (int64_t i = 0; i < groupColumns && five; ++i)
    group.stored[i] |= static_cast<uint8_t>((byteAt(block, 2 + i / 8) >> (i % 8) & 1) << 4);
  return group;
}

/** The same of q4_k or q5_k. The 6-bit factors of groups 4 to 7 lend their two high bits to bytes of groups
 * 0 to 3. */
Group groupOfLargeBlock(BlockType blocks, const std::byte* row, int64_t index) {
  const bool five = blocks == BlockType::q5_k;
  const std::byte* block = row + index / 8 * blockSize(blocks).bytes;
  const int64_t inside = index % 8;
  const std::byte* factors = block + 4;
  const std::byte* fifths = factors + 12;
  const std::byte* nibbles = fifths + (five ? groupColumns : 0) + inside / 2 * groupColumns;
  int scale, minimum;
  if (inside < 4) {
    scale = byteAt(factors, inside) & 63;
    minimum = byteAt(factors, inside + 4) & 63;
  } else {
    const int both = byteAt(factors, inside + 4);
    scale = (both & 15) | byteAt(factors, inside - 4) >> 6 << 4;
    minimum = both >> 4 | byteAt(factors, inside) >> 6 << 4;
  }
  Group group;
  group.scale = halfAt(block) * static_cast<float>(scale);
  group.minimum = -(halfAt(block + 2) * static_cast<float>(minimum));
  readNibbles(nibbles, inside % 2 == 1, group);
  for (int64_t i = 0; i < groupColumns && five; ++i)
    group.stored[i] |= static_cast<uint8_t>((byteAt(fifths, i) >> inside & 1) << 4);
  return group;
}

bool hasFourBits(BlockType blocks) { return blocks == BlockType::q4_0 || blocks == BlockType::q4_k; }
bool hasFiveBits(BlockType blocks) { return blocks == BlockType::q5_0 || blocks == BlockType::q5_k; }

/** Of a type of four or five bits. */
Group groupOf(BlockType blocks, const std::byte* row, int64_t index) {
  const bool small = blocks == BlockType::q4_0 || blocks == BlockType::q5_0;
  return small ? groupOfSmallBlock(blocks, row, index) : groupOfLargeBlock(blocks, row, index);
}

void decodeQ8_0(const std::byte* block, float* out) {
  const float scale = halfAt(block);
  for (int64_t i = 0; i < 32; ++i)
    out[i] = scale * static_cast<float>(static_cast<int8_t>(byteAt(block, 2 + i)));
}

void decodeQ6_k(const std::byte* block, float* out) {
  const float scale = halfAt(block + 208);
  for (int64_t column = 0; column < 256; ++column) {
    const int64_t half = column / 128, quarter = column % 128 / 32, lane = column % 32;
    const int low = byteAt(block, half * 64 + quarter % 2 * 32 + lane) >> (quarter / 2 * 4) & 15;
    const int high = byteAt(block, 128 + half * 32 + lane) >> (quarter * 2) & 3;
    const auto factor = static_cast<int8_t>(byteAt(block, 192 + column / 16));
    out[column] = scale * static_cast<float>(factor) * static_cast<float>((low | high << 4) - 32);
  }
}

/** The scale as f16; false if it is NaN or infinite. */
bool storeHalf(float value, uint16_t& target) {
  target = floatToF16(value);
  return std::isfinite(f16ToFloat(target));
}

bool transcodeQ8_0(const QuantizedShape& shape, const std::byte* source, int64_t row, int64_t index,
                   const QuantizedPanel& panel) {
  const std::byte* block = source + index * blockSize(BlockType::q8_0).bytes;
  for (int64_t i = 0; i < groupColumns; ++i) {
    const int integer = std::max<int>(static_cast<int8_t>(byteAt(block, 2 + i)), -127);
    panel.data[shape.byteOf(row, index * groupColumns + i)] = static_cast<uint8_t>(integer + 128);
  }
  return storeHalf(halfAt(block), panel.scales[index * panelRows + row]);
}

bool transcodeGroup(BlockType blocks, const QuantizedShape& shape, const std::byte* source, int64_t row,
                    int64_t index, const QuantizedPanel& panel) {
  const Group group = groupOf(blocks, source, index);
  for (int64_t i = 0; i < groupColumns; ++i)
    shape.setStored(panel.data, row, index * groupColumns + i, group.stored[i]);
  const int64_t at = index * panelRows + row;
  return storeHalf(group.scale, panel.scales[at]) && storeHalf(group.minimum, panel.minimums[at]);
}

}  // namespace

BlockSize blockSize(BlockType blocks) {
  switch (blocks) {
    case BlockType::q8_0:
      return {32, 34};
    case BlockType::q4_0:
      return {32, 18};
    case BlockType::q4_k:
      return {256, 144};
    case BlockType::q5_0:
      return {32, 22};
    case BlockType::q5_k:
      return {256, 176};
    case BlockType::q6_k:
      return {256, 210};
    case BlockType::fp8:
      return {1, 1};
    case BlockType::none:
      break;
  }
  throw std::logic_error("numbers that are not in blocks have no block size");
}

void decodeRow(BlockType blocks, const std::byte* source, int64_t columns, float* out) {
  if (hasFourBits(blocks) || hasFiveBits(blocks)) {
    for (int64_t index = 0; index < columns / groupColumns; ++index) {
      const Group group = groupOf(blocks, source, index);
      for (int64_t i = 0; i < groupColumns; ++i)
        out[index * groupColumns + i] =
            std::fma(group.scale, static_cast<float>(group.stored[i]), group.minimum);
    }
    return;
  }
  const BlockSize size = blockSize(blocks);
  for (int64_t index = 0; index < columns / size.columns; ++index)
    (blocks == BlockType::q8_0 ? decodeQ8_0 : decodeQ6_k)(source + index * size.bytes,
                                                          out + index * size.columns);
}

bool keepsIntegers(BlockType blocks, const QuantizedShape& shape) {
  if (shape.group != groupColumns) return false;
  if (blocks == BlockType::q8_0) return shape.dtype == DType::q8;
  return (hasFourBits(blocks) && shape.dtype == DType::q4) ||
         (hasFiveBits(blocks) && shape.dtype == DType::q5);
}

bool transcodePanel(BlockType blocks, const QuantizedShape& shape, const std::byte* source,
                    int64_t strideBytes, int64_t rows, const QuantizedPanel& panel) {
  const bool q8 = shape.dtype == DType::q8;
  fillWithZeroPoints(shape, panel.data);
  std::fill_n(panel.scales, shape.panelScales(), uint16_t{0});
  if (panel.minimums) std::fill_n(panel.minimums, shape.panelScales(), uint16_t{0});
  for (int64_t row = 0; row < rows; ++row)
    for (int64_t index = 0; index < shape.groups(); ++index) {
      const std::byte* stored = source + row * strideBytes;
      const bool finite = q8 ? transcodeQ8_0(shape, stored, row, index, panel)
                             : transcodeGroup(blocks, shape, stored, row, index, panel);
      if (!finite) return false;
    }
  return true;
}

}  // namespace rnd1
