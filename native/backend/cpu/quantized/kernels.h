#pragma once

#include <stddef.h>
#include <stdint.h>

/**
 * The inner loops of matmuls with quantized weights (core/quantized.h has their layout), as one table of
 * functions per instruction set, beside that of kernels.h and under the same rules: no C++ library headers
 * here.
 *
 * Activations are quantized to int8, with a scale per row and group of columns:
 *
 *   y[r][n] = Σ over groups, in order: xScale[r] · (scale[n] · Σ stored[n] · x[r] + minimum[n] · Σ x[r])
 *
 * The sums over a group are integers and exact. All tables use the same f32 operations, fused or not, so that
 * they give the same bits, whatever the other rows are.
 */
namespace rnd1::cpu {

/** Values of DType. */
enum : uint8_t { formatQ8 = 3, formatQ4 = 4, formatQ5 = 6 };

/** Lines of 64 bytes that hold `columns` of a panel, a multiple of 32. */
constexpr int64_t linesOf(uint8_t format, int64_t columns) {
  return format == formatQ8 ? columns / 4 : format == formatQ5 ? columns / 32 * 5 : columns / 8;
}

/** Outputs of one call of `multiply`: two panels of 16. */
constexpr int64_t panelPair = 32;

/** The sum of a group of activations. */
union GroupSum {
  int32_t offset;  // for q8: −128 times it, with which the integer sums of products begin
  float sum;       // for formats with minimums, which multiply it
};

/** A tile of quantized activations. A group with NaN or infinity has the scale NaN, which makes its results
 * NaN. */
struct QuantizedTile {
  const int8_t* values;  // (K' / 4, rows, 4), or (groups, rows, group): see QuantizedKernels
  const float* scales;   // (groups, rows)
  const GroupSum* sums;  // (groups, rows)
  int64_t rows;          // at most `tileRows`
};

/** One panel of a weight. */
struct PanelView {
  const uint8_t* values;
  const uint16_t* scales;
  const uint16_t* minimums;  // not of q8
};

/** Memory to prefetch, split evenly over the groups of a call. */
struct Prefetch {
  const uint8_t* first[2];
  int64_t bytesPerGroup;  // of each pointer
};

/** Two panels to multiply by a tile; they may be the same one. */
struct PanelPair {
  PanelView panels[2];
  Prefetch prefetch;
  int64_t groups;
  int64_t group;   // columns, 64 or 32
  uint8_t format;  // formatQ8, formatQ5, formatQ4
};

/** Destination of `quantize`: quads of columns and groups may be strided, as in a tile. */
struct QuantizedRow {
  int8_t* values;
  int64_t quadStride;  // bytes from one quad of a group to the next
  int64_t groupBytes;  // from one group to the next
  float* scales;
  GroupSum* sums;
  int64_t groupStride;  // elements, of scales and sums
};

struct QuantizedKernels {
  const char* name;

  /** Maximum rows of a tile. */
  int64_t tileRows;
  /** In tiles of at least so many rows, each group holds one row after the other, instead of a quad of each.
   */
  int64_t rowsByGroup;

  /**
   * Per group: scale = max |x| / 127, values to the nearest integers, ties to even, and their sum, for
   * weights of a format; padding columns are 0. Groups whose largest magnitude is below 2⁻¹⁰⁰ count as zeros.
   */
  void (*quantize)(const float* x, int64_t columns, int64_t group, uint8_t format, const QuantizedRow& out);

  /** sums (rows, 2, 16) = the products of a tile with a pair of panels. */
  void (*multiply)(const QuantizedTile& x, const PanelPair& weights, float* sums);

  /** out[r · stride + n] = silu(sums[r][0][n]) · sums[r][1][n]. */
  void (*swiglu)(const float* sums, int64_t rows, float* out, int64_t stride);

  /** out[rows[r]][n] = fma(weights[r], sums[r][n], out[rows[r]][n]) for the 32 columns of a pair. */
  void (*accumulate)(const float* sums, const int32_t* rows, const float* weights, int64_t count, float* out);

  /** integerMultiplyAdds int8 multiply-adds, `rounds` times, in registers. */
  int32_t (*integerLoop)(int64_t rounds, int32_t seed);
  int64_t integerMultiplyAdds;
};

// Null when not built for this processor family.
const QuantizedKernels* quantizedBaselineKernels();
const QuantizedKernels* quantizedAvx2Kernels();
const QuantizedKernels* quantizedAvxVnniKernels();
const QuantizedKernels* quantizedAvx512VnniKernels();
const QuantizedKernels* quantizedAmxKernels();
const QuantizedKernels* quantizedDotprodKernels();
const QuantizedKernels* quantizedI8mmKernels();

}  // namespace rnd1::cpu
