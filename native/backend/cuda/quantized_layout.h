#pragma once

#include <cstddef>
#include <cstdint>

#include "core/quantized.h"

/**
 * How quantized weights are stored on a GPU: as tiles of 16 rows × 64 columns, panel after panel, each with
 * its integers, then its scales. A lane of a warp reads what it multiplies in 16 columns (`FragmentA`) at
 * once:
 *
 *   q8       (4 steps of 16 columns, lanes, 8): of registers 0 and 1 the lower halves, the upper halves, then
 * those of 2 and 3 q4       (4, lanes, 4): the lower halves of registers 0 … 3, then the upper halves, a
 * nibble each scales   of q8: 16-bit, (groups of the tile, 16) of q4: (groups of the tile, 16, 2), a scale
 * and an offset
 *
 * For a 16-bit compute dtype, scale and offset have this dtype, and
 *
 *   value = scale · (stored − zero point) + offset,  rounded once
 *
 * with the offset minimum + 8 · scale; scale and offset are rounded too. In f32 they are the scale and
 * minimum of the file, in f16. Columns after the last have the zero point, and scale and offset 0.
 */
namespace rnd1::cuda {

constexpr int quantizedColumns = 64;  // of a tile
constexpr int quantizedZero(DType stored) { return stored == DType::q8 ? 128 : 8; }

/** Bytes of a tile's integers. */
constexpr int quantizedValueBytes(DType stored) { return stored == DType::q8 ? 1024 : 512; }
/** Bytes of the scales of a group. */
constexpr int quantizedScaleBytes(DType stored) {
  return static_cast<int>(panelRows) * (hasMinimums(stored) ? 4 : 2);
}
/** Bytes of a tile whose groups have `group` columns. */
constexpr int quantizedTileBytes(DType stored, int32_t group) {
  return quantizedValueBytes(stored) + quantizedColumns / group * quantizedScaleBytes(stored);
}
/** The largest of them. */
constexpr int maxQuantizedTileBytes(DType stored) { return quantizedTileBytes(stored, 32); }

/** Where in a tile an integer is: its byte, and how far to shift it right. */
struct QuantizedPlace {
  int byte, shift;
};

constexpr QuantizedPlace quantizedPlace(DType stored, int row, int column) {
  const int lane = row % 8 * 4 + column % 8 / 2, step = column / 16;
  const int number = row / 8 + column % 16 / 8 * 2, upper = column % 2;  // of the register; its half
  const int word = step * 32 + lane;
  if (stored == DType::q8) return {word * 8 + number / 2 * 4 + upper * 2 + number % 2, 0};
  return {word * 4 + upper * 2 + number / 2, number % 2 * 4};
}

/** The view of a weight that is stored so. Its `data` is still null. */
Weight quantizedInTiles(const Weight& weight);

/** Writes panels [first, first + count) of a weight of a file (core/quantized.h) as tiles. */
void writeQuantizedTiles(const Weight& weight, DType computeDtype, int64_t first, int64_t count,
                         std::byte* tiles);

}  // namespace rnd1::cuda
