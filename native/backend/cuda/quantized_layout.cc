#include "backend/cuda/quantized_layout.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>

namespace rnd1::cuda {
namespace {

int64_t tilesPerPanel(const Weight& weight) {
  return (weight.columns + quantizedColumns - 1) / quantizedColumns;
}

/** Where the bytes of a tile of a file go: those of q8, or of the low nibbles of q4. */
template <DType stored>
constexpr auto placesInTile() {
  std::array<uint16_t, static_cast<size_t>(quantizedColumns * panelRows)> places{};
  for (int row = 0; row < panelRows; ++row)
    for (int column = 0; column < quantizedColumns; ++column)
      places[static_cast<size_t>(column / 4 * panelRows * 4 + row * 4 + column % 4)] =
          static_cast<uint16_t>(quantizedPlace(stored, row, column).byte);
  return places;
}

/** `columns` of a tile, 64 or 32. */
void writeBytes(const uint8_t* from, int columns, uint8_t* tile) {
  static constexpr auto places = placesInTile<DType::q8>();
  for (size_t i = 0; i < static_cast<size_t>(columns * panelRows); ++i) tile[places[i]] = from[i];
}

/** The same. A byte of a file has two columns of a row, a byte of a tile two rows of a column. */
void writeNibbles(const uint8_t* from, int columns, uint8_t* tile) {
  static constexpr auto places = placesInTile<DType::q4>();
  constexpr size_t line = static_cast<size_t>(panelRows) * 4, halfLine = line / 2;
  for (size_t eight = 0; eight < static_cast<size_t>(columns / 8); ++eight)
    for (size_t i = 0; i < halfLine; ++i) {
      const uint8_t row = from[eight * line + i], eightBelow = from[eight * line + halfLine + i];
      tile[places[2 * eight * line + i]] = static_cast<uint8_t>((row & 0x0f) | eightBelow << 4);
      tile[places[(2 * eight + 1) * line + i]] = static_cast<uint8_t>(row >> 4 | (eightBelow & 0xf0));
    }
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
    *out++ = narrow(wide ? minimum : std::fma(static_cast<float>(quantizedZero(DType::q4)), scale, minimum));
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
  const bool q8 = weight.dtype == DType::q8;
  const int valueBytes = quantizedValueBytes(weight.dtype);
  const int64_t tileCount = tilesPerPanel(weight);
  const int groupsPerTile = quantizedColumns / weight.group;
  auto* tile = reinterpret_cast<uint8_t*>(tiles);
  for (int64_t panel = first; panel < first + count; ++panel) {
    const auto* values = reinterpret_cast<const uint8_t*>(weight.data) + panel * shape.panelBytes();
    for (int64_t index = 0; index < tileCount; ++index) {
      const auto columns = static_cast<int>(
          std::min<int64_t>(shape.paddedColumns() - index * quantizedColumns, quantizedColumns));
      if (columns < quantizedColumns) std::memset(tile, q8 ? 0x80 : 0x88, static_cast<size_t>(valueBytes));
      (q8 ? writeBytes : writeNibbles)(values + index * valueBytes, columns, tile);
      auto* scales = reinterpret_cast<uint16_t*>(tile + valueBytes);
      for (int64_t group = index * groupsPerTile; group < (index + 1) * groupsPerTile; ++group)
        scales = writeScales(weight, computeDtype,
                             group < shape.groups() ? panel * shape.groups() + group : -1, scales);
      tile += quantizedTileBytes(weight.dtype, weight.group);
    }
  }
}

}  // namespace rnd1::cuda
