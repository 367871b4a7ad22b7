#pragma once

#include <cstddef>
#include <cstdint>

#include "core/quantized.h"

/**
 * How quantized weights are stored on a GPU: as tiles of 16 rows × 64 columns, panel after panel, each with
 * its integers, then its scales. A lane of a warp reads what it multiplies in 16 columns (`FragmentA`) at
 * once:
 *
 *   q8, fp8  (4 steps of 16 columns, lanes, 2 pairs of registers, 4): bytes, see below
 *   q4       (4, lanes, 4 registers, 2): nibbles, lower halves first, rotated by `nibbleRotation`
 *   q5       the lower four bits as of q4; then (lanes, 2, 4, 4 registers): the fifth ones, by half, step and
 *            register, in words rotated by `fifthBitRotation`
 *   scales   q8: 16-bit, (groups of the tile, 16)
 *            q5, q4: 16-bit, (groups of the tile, 16, 2): a scale and an offset
 *            fp8: 16-bit, one for the tile, then 14 bytes of padding
 *
 * Four bytes of q8 are the lower halves of two registers, then their upper halves. Two numbers of fp8 share
 * 16 bits instead (`fp8InHalf`). The eight nibbles
 * of a word of q4 are the lower halves of four registers, then their upper halves.
 *
 * For a 16-bit compute dtype, scale and offset have this dtype, and each operation is rounded once:
 *
 *   q8   value = scale · (stored − 128)
 *   q4   value = scale · (stored + 16) + offset
 *   q5   value = scale · (stored + 32) + offset
 *   fp8  value = scale · stored; in place of the scale stands 2ⁿ times it, because stored / 2ⁿ is what the
 *        number's bits mean among those of the compute dtype, n = 120 in bf16, 8 in f16
 *
 * 16 + stored, or 32 + stored, is a number with `stored` as the first bits of its fraction; the offset makes
 * the value exact in the middle of the range, at 7.5 or 15.5. In f32, scales are those of the file, in f16
 * (fp8: as for f16), and offsets its minimums. Columns after the last have the zero point (q8 128, q4 8,
 * others 0), scale and offset 0.
 */
namespace rnd1::cuda {

constexpr int quantizedColumns = 64;  // of a tile

/** The number whose fraction begins with the integer when it is added. */
constexpr float integerBase(DType stored) { return stored == DType::q5 ? 32 : 16; }
/** The middle of the range of integers. */
constexpr double integerMiddle(DType stored) { return largestInteger(stored) / 2.0; }

/** By how many bits words of four bits each are rotated, so that they are the first of a fraction: those of
 * q5 after the fifth one. */
constexpr int nibbleRotation(DType stored, DType computeDtype) {
  return (computeDtype == DType::bf16 ? 3 : 6) - (stored == DType::q5 ? 1 : 0);
}
/** The same of words of fifth bits. */
constexpr int fifthBitRotation(DType computeDtype) { return computeDtype == DType::bf16 ? 6 : 9; }

/** What scales of fp8 are multiplied by. */
constexpr float fp8Factor(DType computeDtype) { return computeDtype == DType::bf16 ? 0x1p120f : 0x1p8f; }

/**
 * Where two numbers of fp8, of two registers, are in 16 bits: sign, exponent and fraction of the first at the
 * compute dtype's, those of the second in between, so that few instructions move them. In f32 as in f16.
 */
constexpr uint32_t fp8InHalf(DType computeDtype, bool second, uint32_t number) {
  const uint32_t sign = number >> 7, rest = number & 0x7f;
  if (computeDtype == DType::bf16)
    return second ? sign << 11 | (rest & 0x0f) | rest >> 4 << 12 : sign << 15 | rest << 4;
  return second ? sign << 14 | rest : sign << 15 | rest << 7;
}

/** Bytes of a tile's nibbles, after which the fifth bits of q5 follow. */
constexpr int nibbleBytes = 512;
/** Bytes of a tile's integers, or numbers. */
constexpr int quantizedValueBytes(DType stored) {
  return stored == DType::q4 ? nibbleBytes : stored == DType::q5 ? nibbleBytes + 128 : 1024;
}
/** Bytes of the scales of a group. */
constexpr int quantizedScaleBytes(DType stored) {
  if (stored == DType::fp8) return 16;
  return static_cast<int>(panelRows) * (hasMinimums(stored) ? 4 : 2);
}
/** Bytes of a tile whose groups have `group` columns. */
constexpr int quantizedTileBytes(DType stored, int32_t group) {
  return quantizedValueBytes(stored) + quantizedColumns / group * quantizedScaleBytes(stored);
}
/** The largest of them. */
constexpr int maxQuantizedTileBytes(DType stored) {
  return quantizedTileBytes(stored, stored == DType::fp8 ? 64 : 32);
}

/** Where in a tile an integer is, of q5 its lower four bits: its word, and by how far to rotate it to the
 * right. Numbers of fp8 are in the half and of the order of q8's bytes. */
struct QuantizedPlace {
  int word, shift;
};

constexpr QuantizedPlace quantizedPlace(DType stored, DType computeDtype, int row, int column) {
  const int lane = row % 8 * 4 + column % 8 / 2, step = column / 16;
  const int number = row / 8 + column % 16 / 8 * 2, upper = column % 2;  // of the register; its half
  const int index = step * 32 + lane;
  if (!hasMinimums(stored)) return {index * 2 + number / 2, upper * 16 + number % 2 * 8};
  return {index, (upper * 16 + number * 4 + nibbleRotation(stored, computeDtype)) % 32};
}

/** The same of the fifth bit of q5. */
constexpr QuantizedPlace fifthBitPlace(DType computeDtype, int row, int column) {
  const int lane = row % 8 * 4 + column % 8 / 2, step = column / 16;
  const int number = row / 8 + column % 16 / 8 * 2, upper = column % 2;
  return {nibbleBytes / 4 + lane, (upper * 16 + step * 4 + number + fifthBitRotation(computeDtype)) % 32};
}

/** The view of a weight that is stored so. Its `data` is still null. */
Weight quantizedInTiles(const Weight& weight);

/** Writes panels [first, first + count) of a weight of a file (core/quantized.h) as tiles. */
void writeQuantizedTiles(const Weight& weight, DType computeDtype, int64_t first, int64_t count,
                         std::byte* tiles);

}  // namespace rnd1::cuda
