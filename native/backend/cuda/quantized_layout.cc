#include "backend/cuda/quantized_layout.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <cstring>

namespace rnd1::cuda {
namespace {

int64_t tilesPerPanel(const Weight& weight) {
  return (weight.columns + quantizedColumns - 1) / quantizedColumns;
}

/** Where the integers of a tile of a file go, by column / 4, row and column % 4. */
template <DType stored, DType computeDtype>
constexpr auto placesInTile() {
  std::array<QuantizedPlace, static_cast<size_t>(quantizedColumns * panelRows)> places{};
  for (int row = 0; row < panelRows; ++row)
    for (int column = 0; column < quantizedColumns; ++column)
      places[static_cast<size_t>(column / 4 * panelRows * 4 + row * 4 + column % 4)] =
          quantizedPlace(stored, computeDtype, row, column);
  return places;
}

/** `columns` of a tile, 64 or 32. */
void writeBytes(const uint8_t* from, int columns, uint32_t* words) {
  static constexpr auto places = placesInTile<DType::q8, DType::bf16>();
  for (size_t i = 0; i < static_cast<size_t>(columns * panelRows); ++i) {
    const auto [word, shift] = places[i];
    words[word] |= uint32_t{from[i]} << shift;
  }
}

/** The same. */
template <DType computeDtype>
void writeNumbers(const uint8_t* from, int columns, uint32_t* words) {
  static constexpr auto places = placesInTile<DType::fp8, computeDtype>();
  for (size_t i = 0; i < static_cast<size_t>(columns * panelRows); ++i) {
    const auto [word, shift] = places[i];
    words[word] |= fp8InHalf(computeDtype, shift & 8, from[i]) << (shift & 16);
  }
}

/** The same. A byte of a file has columns c and c + 4 of a row; of q5, every fifth line has fifth bits. */
template <DType stored, DType computeDtype>
void writeNibbles(const uint8_t* from, int columns, uint32_t* words) {
  static constexpr auto places = placesInTile<stored, computeDtype>();
  constexpr size_t line = static_cast<size_t>(panelRows) * 4, perBlock = stored == DType::q5 ? 5 : 4;
  const auto write = [&](size_t i, uint32_t nibble) {
    const auto [word, shift] = places[i];
    words[word] |= std::rotl(nibble, shift);
  };
  for (size_t eight = 0; eight < static_cast<size_t>(columns / 8); ++eight)
    for (size_t i = 0; i < line; ++i) {
      const uint8_t both = from[(eight / 4 * perBlock + eight % 4) * line + i];
      write(2 * eight * line + i, both & 0x0f);
      write((2 * eight + 1) * line + i, both >> 4);
    }
  if constexpr (stored == DType::q5)
    for (int column = 0; column < columns; ++column)
      for (int row = 0; row < panelRows; ++row) {
        const uint32_t byte = from[QuantizedShape{stored}.fifthBitByteOf(row, column)];
        const auto [word, shift] = fifthBitPlace(computeDtype, row, column);
        words[word] |= std::rotl(byte >> (column % 32 / 4) & 1, shift);
      }
}

/** Columns that are not in the file. */
void writeZeroPoints(DType dtype, DType computeDtype, int columns, uint32_t* words) {
  const uint32_t zero = zeroPoint(dtype);
  for (int row = 0; row < panelRows; ++row)
    for (int column = columns; column < quantizedColumns; ++column) {
      const auto [word, shift] = quantizedPlace(dtype, computeDtype, row, column);
      words[word] |= std::rotl(zero, shift);
    }
}

/** The scale of a group of fp8, which all rows have in common. */
void writeFp8Scale(const Weight& weight, DType computeDtype, int64_t index, uint16_t* out) {
  const float scale = bf16ToFloat(weight.scales[index * panelRows]) * fp8Factor(computeDtype);
  std::fill_n(out, quantizedScaleBytes(DType::fp8) / 2, uint16_t{0});
  *out = computeDtype == DType::bf16 ? floatToBf16(scale) : floatToF16(scale);
}

/** The scales of the group with that index in the file, zeros for −1. Returns where the next go. */
uint16_t* writeScales(const Weight& weight, DType computeDtype, int64_t index, uint16_t* out) {
  const bool offsets = hasMinimums(weight.dtype), wide = computeDtype == DType::f32;
  const auto narrow = [&](float value) {
    return computeDtype == DType::bf16 ? floatToBf16(value) : floatToF16(value);
  };
  for (int64_t row = 0; row < panelRows; ++row) {
    const int64_t at = index * panelRows + row;
    const float scale = index < 0 ? 0 : f16ToFloat(weight.scales[at]);
    *out++ = narrow(scale);
    if (!offsets) continue;
    const float minimum = index < 0 ? 0 : f16ToFloat(weight.minimums[at]);
    if (wide) {
      *out++ = narrow(minimum);
      continue;
    }
    // So that the middle of the range is exact whatever rounding has done to the scale.
    const double used = computeDtype == DType::bf16 ? bf16ToFloat(out[-1]) : f16ToFloat(out[-1]);
    const double middle = integerMiddle(weight.dtype);
    *out++ =
        narrow(static_cast<float>(minimum + middle * scale - (integerBase(weight.dtype) + middle) * used));
  }
  return out;
}

}  // namespace

Weight quantizedInTiles(const Weight& weight) {
  Weight placed = weight;
  placed.data = nullptr;
  placed.scales = nullptr;
  placed.minimums = nullptr;
  placed.inTiles = true;
  placed.strideBytes =
      tilesPerPanel(weight) * quantizedTileBytes(weight.dtype, weight.group) / static_cast<int>(panelRows);
  return placed;
}

void writeQuantizedTiles(const Weight& weight, DType computeDtype, int64_t first, int64_t count,
                         std::byte* tiles) {
  const QuantizedShape shape{weight.dtype, weight.rows, weight.columns, weight.group};
  const bool bf16 = computeDtype == DType::bf16;
  const auto write = weight.dtype == DType::q8 ? writeBytes
                     : weight.dtype == DType::q5
                         ? (bf16 ? writeNibbles<DType::q5, DType::bf16> : writeNibbles<DType::q5, DType::f16>)
                     : weight.dtype == DType::q4
                         ? (bf16 ? writeNibbles<DType::q4, DType::bf16> : writeNibbles<DType::q4, DType::f16>)
                         : (bf16 ? writeNumbers<DType::bf16> : writeNumbers<DType::f16>);
  const int valueBytes = quantizedValueBytes(weight.dtype);
  const int64_t tileCount = tilesPerPanel(weight);
  const int groupsPerTile = quantizedColumns / weight.group;
  auto* tile = reinterpret_cast<uint8_t*>(tiles);
  for (int64_t panel = first; panel < first + count; ++panel) {
    const auto* values = reinterpret_cast<const uint8_t*>(weight.data) + panel * shape.panelBytes();
    for (int64_t index = 0; index < tileCount; ++index) {
      const auto columns = static_cast<int>(
          std::min<int64_t>(shape.paddedColumns() - index * quantizedColumns, quantizedColumns));
      std::memset(tile, 0, static_cast<size_t>(valueBytes));
      auto* words = reinterpret_cast<uint32_t*>(tile);
      write(values + index * valueBytes, columns, words);
      writeZeroPoints(weight.dtype, computeDtype, columns, words);
      auto* scales = reinterpret_cast<uint16_t*>(tile + valueBytes);
      if (weight.dtype == DType::fp8) {
        writeFp8Scale(weight, computeDtype, panel * shape.groups() + index, scales);
      } else {
        for (int64_t group = index * groupsPerTile; group < (index + 1) * groupsPerTile; ++group)
          scales = writeScales(weight, computeDtype,
                               group < shape.groups() ? panel * shape.groups() + group : -1, scales);
      }
      tile += quantizedTileBytes(weight.dtype, weight.group);
    }
  }
}

}  // namespace rnd1::cuda
