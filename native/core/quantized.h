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
 * q5: stored in 0 … 31, five bits each; minimum from `minimums`.
 * q4: stored in 0 … 15, two per byte; minimum from `minimums`, or −8 · scale without them.
 * fp8: stored is an e4m3 number (core/fp8.h); no minimum. Blocks of 128 × 128 have one scale.
 *
 * A weight [rows, columns] is stored in panels of 16 rows; padding rows of the last one have scale 0. A group
 * is 64 or 32 columns (fp8: 64); padding columns of the last one hold the zero point (128, 8, or 0 of q5 and
 * fp8), and activations are 0 there. Padded columns: K' = groups · group. 64 consecutive bytes hold all 16
 * rows of a few columns, the size of a vector register:
 *
 *   q8, fp8   (panels, K'/4, 16, 4): byte (p, o, r, j) is row 16·p + r, column 4·o + j
 *   q4        (panels, K'/8, 16, 4): its low nibble is column 8·o + j, its high nibble column 8·o + 4 + j
 *   q5        (panels, K'/32, 5, 16, 4): four lines as of q4, then one of fifth bits: bit b of byte (r, j) is
 *             column 4·b + j of the 32
 *   scales, minimums   f16 (scales of fp8: bf16), (panels, groups, 16)
 */
namespace rnd1 {

constexpr int64_t panelRows = 16;

/** The group size of a weight: `preferred` (64 or 32) if it divides the columns, else 32. */
constexpr int32_t quantizedGroup(int64_t columns, int32_t preferred) {
  return columns % preferred == 0 ? preferred : 32;
}

/** Whether groups of a format have stored minimums. */
constexpr bool hasMinimums(DType dtype) { return dtype == DType::q5 || dtype == DType::q4; }

/** The largest stored integer. Not of fp8. */
constexpr int largestInteger(DType dtype) { return dtype == DType::q8 ? 255 : dtype == DType::q5 ? 31 : 15; }

/** What is stored where columns are missing. */
constexpr uint8_t zeroPoint(DType dtype) { return dtype == DType::q8 ? 128 : dtype == DType::q4 ? 8 : 0; }

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
  constexpr int64_t strideBytes() const {
    return dtype == DType::q4   ? paddedColumns() / 2
           : dtype == DType::q5 ? paddedColumns() / 8 * 5
                                : paddedColumns();
  }
  constexpr int64_t panelBytes() const { return sizeProduct(panelRows, strideBytes()); }
  constexpr int64_t dataBytes() const { return sizeProduct(panels(), panelBytes()); }
  /** Scales (or minimums) per panel. */
  constexpr int64_t panelScales() const { return sizeProduct(groups(), panelRows); }
  constexpr int64_t scaleCount() const { return sizeProduct(panels(), panelScales()); }

  /** Byte offset, within its panel, of a row and column; of the four lower bits of q5. */
  constexpr int64_t byteOf(int64_t row, int64_t column) const {
    const int64_t line = dtype == DType::q5   ? column / 32 * 5 + column % 32 / 8
                         : dtype == DType::q4 ? column / 8
                                              : column / 4;
    return (line * panelRows + row) * 4 + column % 4;
  }
  /** The same of the fifth bit of q5, which is bit column % 32 / 4 of its byte. */
  constexpr int64_t fifthBitByteOf(int64_t row, int64_t column) const {
    return ((column / 32 * 5 + 4) * panelRows + row) * 4 + column % 4;
  }

  /** The integer, or number of fp8, of a row and column of a panel. */
  constexpr uint8_t stored(const uint8_t* panel, int64_t row, int64_t column) const {
    const uint8_t byte = panel[byteOf(row, column)];
    if (dtype == DType::q8 || dtype == DType::fp8) return byte;
    const int nibble = column % 8 < 4 ? byte & 0x0f : byte >> 4;
    if (dtype == DType::q4) return static_cast<uint8_t>(nibble);
    const int fifth = panel[fifthBitByteOf(row, column)] >> (column % 32 / 4) & 1;
    return static_cast<uint8_t>(nibble | fifth << 4);
  }
  constexpr void setStored(uint8_t* panel, int64_t row, int64_t column, uint8_t integer) const {
    uint8_t& byte = panel[byteOf(row, column)];
    if (dtype == DType::q8 || dtype == DType::fp8) {
      byte = integer;
      return;
    }
    const int nibble = integer & 0x0f;
    byte = static_cast<uint8_t>(column % 8 < 4 ? (byte & 0xf0) | nibble : (byte & 0x0f) | nibble << 4);
    if (dtype == DType::q4) return;
    uint8_t& fifths = panel[fifthBitByteOf(row, column)];
    const int bit = static_cast<int>(column % 32 / 4);
    fifths = static_cast<uint8_t>((fifths & ~(1 << bit)) | integer >> 4 << bit);
  }
};

/** A view of quantized memory. `minimums` may be null. */
Weight quantizedWeight(const QuantizedShape& shape, const void* data, const uint16_t* scales,
                       const uint16_t* minimums);

/** Numbers [first, first + count) of f32, f16 or bf16 at `source`, which may be unaligned. */
void readFloats(const std::byte* source, DType dtype, int64_t first, int64_t count, float* out);

/** Makes all integers of a panel the zero point. */
void fillWithZeroPoints(const QuantizedShape& shape, uint8_t* panel);

/** One panel of a quantized weight; `minimums` null: the fixed zero point. */
struct QuantizedPanel {
  uint8_t* data;       // (panelBytes)
  uint16_t* scales;    // (groups, 16)
  uint16_t* minimums;  // (groups, 16), of q5, and of q4 or null
};

/**
 * Quantizes up to 16 rows, `strideBytes` apart, of a weight of the given shape in q8, q5 or q4: q8 with the
 * scale of the group's largest magnitude, the others with the scale (and minimum) of the least squared error
 * among a few candidates. Scales are rounded to f16 before integers are chosen, so that the integers
 * compensate for it. `source` may be unaligned and is not quantized. Returns false if a number is NaN,
 * infinite or too large for f16 scales; the panel is then undefined.
 */
bool quantizePanel(const QuantizedShape& shape, const std::byte* source, DType sourceDtype,
                   int64_t strideBytes, int64_t rows, const QuantizedPanel& panel);

/** Rows [first, first + count) of a quantized weight as f32, out[r · outStride + c]: fma(scale, stored,
 * minimum). */
void dequantizeRows(const Weight& weight, int64_t first, int64_t count, float* out, int64_t outStride);

}  // namespace rnd1
