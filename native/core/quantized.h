#pragma once

#include <cstddef>
#include <cstdint>

#include "core/dtype.h"
#include "core/tensor.h"

/**
 * Quantized weights: integers, or numbers of 8 bits, with a scale per row and group of columns.
 *
 *   value = scale · stored + minimum
 *
 * q8: stored = q + 128 with q in −127 … 127, one byte each; minimum = −128 · scale, never stored.
 * q4: stored in 0 … 15, two per byte; minimum from `minimums`, or −8 · scale without them.
 * fp8: stored is an e4m3 number (core/fp8.h); no minimum. Blocks of 128 × 128 have one scale.
 *
 * A weight [rows, columns] is stored in panels of 16 rows; padding rows of the last one have scale 0. A group
 * is 64 or 32 columns (fp8: 64); padding columns of the last one hold the zero point (128, 8, or 0), and
 * activations are 0 there. Padded columns: K' = groups · group. 64 consecutive bytes hold all 16 rows of a
 * few columns, the size of a vector register:
 *
 *   q8, fp8   (panels, K'/4, 16, 4): byte (p, o, r, j) is row 16·p + r, column 4·o + j
 *   q4        (panels, K'/8, 16, 4): its low nibble is column 8·o + j, its high nibble column 8·o + 4 + j
 *   scales, minimums   f16 (scales of fp8: bf16), (panels, groups, 16)
 */
namespace rnd1 {

constexpr int64_t panelRows = 16;

/** The group size of a weight: `preferred` (64 or 32) if it divides the columns, else 32. */
constexpr int32_t quantizedGroup(int64_t columns, int32_t preferred) {
  return columns % preferred == 0 ? preferred : 32;
}

/** Whether groups of a format have stored minimums. */
constexpr bool hasMinimums(DType dtype) { return dtype == DType::q4; }

/** Sizes of one quantized weight. */
struct QuantizedShape {
  DType dtype = DType::q8;
  int64_t rows = 0;
  int64_t columns = 0;
  int32_t group = 64;

  // Each throws Error out_of_memory if the result exceeds int64_t.
  constexpr int64_t panels() const { return sizeSum(rows, panelRows - 1) / panelRows; }
  constexpr int64_t groups() const { return sizeSum(columns, group - 1) / group; }
  constexpr int64_t paddedColumns() const { return groups() * group; }
  constexpr int64_t strideBytes() const { return dtype == DType::q4 ? paddedColumns() / 2 : paddedColumns(); }
  constexpr int64_t panelBytes() const { return sizeProduct(panelRows, strideBytes()); }
  constexpr int64_t dataBytes() const { return sizeProduct(panels(), panelBytes()); }
  /** Scales (or minimums) per panel. */
  constexpr int64_t panelScales() const { return sizeProduct(groups(), panelRows); }
  constexpr int64_t scaleCount() const { return sizeProduct(panels(), panelScales()); }

  /** Byte offset, within its panel, of a row and column. */
  constexpr int64_t byteOf(int64_t row, int64_t column) const {
    const int64_t perLine = dtype == DType::q4 ? 8 : 4;
    return (column / perLine * panelRows + row) * 4 + column % 4;
  }
};

/** A view of quantized memory. `minimums` may be null. */
Weight quantizedWeight(const QuantizedShape& shape, const void* data, const uint16_t* scales,
                       const uint16_t* minimums);

/** Numbers [first, first + count) of f32, f16 or bf16 at `source`, which may be unaligned. */
void readFloats(const std::byte* source, DType dtype, int64_t first, int64_t count, float* out);

/** One panel of a quantized weight; `minimums` null: the fixed zero point. */
struct QuantizedPanel {
  uint8_t* data;       // (panelBytes)
  uint16_t* scales;    // (groups, 16)
  uint16_t* minimums;  // (groups, 16), q4 only, or null
};

/**
 * Quantizes up to 16 rows, `strideBytes` apart, of a weight of the given shape in q8 or q4: q8 with the scale
 * of the group's largest magnitude, q4 with the scale (and minimum) of the least squared error among a few
 * candidates. Scales are rounded to f16 before integers are chosen, so that the integers compensate for it.
 * `source` may be unaligned and is not quantized. Returns false if a number is NaN, infinite or too large for
 * f16 scales; the panel is then undefined.
 */
bool quantizePanel(const QuantizedShape& shape, const std::byte* source, DType sourceDtype,
                   int64_t strideBytes, int64_t rows, const QuantizedPanel& panel);

/** Rows [first, first + count) of a quantized weight as f32, out[r · outStride + c]: fma(scale, stored,
 * minimum). */
void dequantizeRows(const Weight& weight, int64_t first, int64_t count, float* out, int64_t outStride);

}  // namespace rnd1
