#pragma once

#include <cstddef>
#include <cstdint>

#include "core/quantized.h"

/**
 * How quantized weights are stored on a GPU: as tiles of 16 rows × 64 columns, panel after panel, each with
 * its integers, then its scales. A lane of a warp reads what it multiplies in 16 columns (`FragmentA`) at
 * once:
 *
 *   q8       (4 steps of 16 columns, lanes, 2 registers, 4): bytes of a pair of registers, see below
 *   q4       (4, lanes, 4 registers, 2): nibbles, lower halves first, rotated by `nibbleRotation`
 *   scales   q8: 16-bit, (groups of the tile, 16)
 *            q4: 16-bit, (groups of the tile, 16, 2): a scale and an offset
 *
 * Four bytes of q8 are the lower halves of two registers, then their upper halves. The eight nibbles of a
 * word of q4 are the lower halves of four registers, then their upper halves.
 *
 * For a 16-bit compute dtype, scale and offset have this dtype, and each operation is rounded once:
 *
 *   q8   value = scale · (stored − 128)
 *   q4   value = scale · (stored + 16) + offset
 *
 * 16 + stored is a number with `stored` as the first bits of its fraction; the offset makes the value exact
 * in the middle of the range, at 7.5. In f32, scales are those of the file, in f16, and offsets its minimums.
 * Columns after the last have the zero point (128, or 8), scale and offset 0.
 */
namespace rnd1::cuda {

constexpr int quantizedColumns = 64;  // of a tile
constexpr float nibbleBase = 16;
constexpr double nibbleMiddle = 7.5;

/** By how many bits words of q4 are rotated, so that four bits are the first ones of a fraction. */
constexpr int nibbleRotation(DType computeDtype) { return computeDtype == DType::bf16 ? 3 : 6; }

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

/** Where in a tile an integer is: its word, and by how far to rotate it to the right. */
struct QuantizedPlace {
  int word, shift;
};

constexpr QuantizedPlace quantizedPlace(DType stored, DType computeDtype, int row, int column) {
  const int lane = row % 8 * 4 + column % 8 / 2, step = column / 16;
  const int number = row / 8 + column % 16 / 8 * 2, upper = column % 2;  // of the register; its half
  const int index = step * 32 + lane;
  if (stored == DType::q8) return {index * 2 + number / 2, upper * 16 + number % 2 * 8};
  return {index, (upper * 16 + number * 4 + nibbleRotation(computeDtype)) % 32};
}

/** The view of a weight that is stored so. Its `data` is still null. */
Weight quantizedInTiles(const Weight& weight);

/** Writes panels [first, first + count) of a weight of a file (core/quantized.h) as tiles. */
void writeQuantizedTiles(const Weight& weight, DType computeDtype, int64_t first, int64_t count,
                         std::byte* tiles);

}  // namespace rnd1::cuda
