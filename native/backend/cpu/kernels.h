#pragma once

#include <stddef.h>
#include <stdint.h>

/**
 * The inner loops of the CPU backend, as one table of functions per instruction set. kernels.inl holds the
 * code; kernels_*.cc compile it with different flags. Nothing here may include C++ library headers: their
 * inline functions would be merged across units, and older processors would meet newer instructions.
 *
 * Order of accumulation depends on the length of the dot product alone, never on the number of rows.
 */
namespace rnd1::cpu {

/** Values of DType. */
enum : uint8_t { formatF32 = 0, formatF16 = 1, formatBf16 = 2 };

/** Weight rows that are widened at once and stay in the cache while all rows of x pass. */
constexpr int64_t columnBlock = 16;

/** Keys per block of the online softmax, and queries that share one pass over them. */
constexpr int64_t keyBlock = 64;
constexpr int64_t queryBlock = 16;

/** Rows of x, either all in order or by index. */
struct RowSource {
  const float* data;
  int64_t stride;        // elements
  const int32_t* index;  // null: rows 0, 1, …; otherwise row r is index[r] / divisor
  int64_t divisor;       // turns slots into rows; 1 otherwise
};

/** What `score` needs of one row of logits. */
struct RowStatistics {
  float maximum;
  float second;    // the next largest, equal to `maximum` on ties
  int32_t argmax;  // lowest id
  bool notFinite;  // NaN or +∞ somewhere
  int64_t minusInfinities;
  double sum;       // Σ exp(z − maximum)
  double weighted;  // Σ exp(z − maximum) · (z − maximum)
};

struct Kernels {
  const char* name;

  /** out[i] = source[i] widened to f32 and rounded to `arithmetic`; the source may be unaligned. */
  void (*widen)(const void* source, uint8_t format, uint8_t arithmetic, int64_t count, float* out);

  /** In place. */
  void (*round)(uint8_t arithmetic, int64_t count, float* values);

  /** out[r · outStride + c] = x[r] · weights[c], for c < columns ≤ columnBlock; weights are f32, `inner`
   * long. */
  void (*dotBlock)(const RowSource& x, int64_t rows, const float* weights, int64_t weightStride,
                   int64_t columns, int64_t inner, float* out, int64_t outStride);

  /** out[slots[r] / divisor][c] += scale[slots[r]] · (x[slots[r]] · weights[c]). */
  void (*dotBlockAccumulate)(const float* x, int64_t xStride, const int32_t* slots, int64_t divisor,
                             const float* scale, int64_t rows, const float* weights, int64_t weightStride,
                             int64_t columns, int64_t inner, float* out, int64_t outStride);

  /** gate[i] = round(silu(gate[i]) · up[i]). */
  void (*swiglu)(float* gate, const float* up, int64_t count, uint8_t arithmetic);

  /** residual += delta (when not null); out = round(residual / rms · scale). */
  void (*addRmsNorm)(float* residual, const float* delta, const float* scale, float epsilon, int64_t count,
                     uint8_t arithmetic, float* out);

  /** One head: RMSNorm, rotary embedding with cosines[half], sines[half], rounding. Columns: 2 · half. */
  void (*normRopeHead)(float* head, const float* scale, float epsilon, const float* cosines,
                       const float* sines, int64_t half, uint8_t arithmetic);

  /**
   * Up to queryBlock queries of one head against all keys of their canvas.
   * scratch: queryBlock · (keyBlock + headDim + 2 · 16) floats. logSumExp may be null.
   */
  void (*attentionBlock)(const float* query, int64_t queryStride, int64_t queries, const float* key,
                         const float* value, int64_t keyStride, int64_t valueStride, int64_t keys,
                         int64_t headDim, float scale, uint8_t arithmetic, float* scratch, float* out,
                         int64_t outStride, float* logSumExp, int64_t logSumExpStride);

  /** logits[i] /= temperature (when not 1), then the statistics; sums only when all is finite or −∞. */
  void (*statistics)(float* logits, int64_t count, float temperature, RowStatistics* statistics);

  /** multiplyAddsPerRound multiply-adds, `rounds` times, in registers; gives what must not be optimised away.
   */
  float (*multiplyAddLoop)(int64_t rounds, float factor, float addend);
  int64_t multiplyAddsPerRound;
};

const Kernels* baselineKernels();
const Kernels* avx2Kernels();    // null when not built for this processor family
const Kernels* avx512Kernels();  // likewise

}  // namespace rnd1::cpu
