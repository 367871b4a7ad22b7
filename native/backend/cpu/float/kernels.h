#pragma once

#include <stddef.h>
#include <stdint.h>

#include "backend/cpu/training/kernels.h"
#include "backend/visible_key_count.h"

/**
 * The inner loops of the CPU backend, as one table of functions per instruction set. The .inl files hold the
 * code; kernels_*.cc compile it with different flags. Nothing here may include C++ library headers: the
 * linker would merge their inline functions across units, and older processors could run newer instructions.
 *
 * The order of accumulation depends only on the length of the dot product, never on the number of rows.
 */
namespace rnd1::cpu {

/** Values of DType. */
enum : uint8_t { formatF32 = 0, formatF16 = 1, formatBf16 = 2 };

/** Keys per block of the online softmax, and (query, head) pairs that share one pass over them. */
constexpr int64_t keyBlock = 64;
constexpr int64_t attentionRows = 240;

/** Activation rows: f32, or bf16 or f16 if the instruction set multiplies that type natively. */
struct RowSource {
  const void* data;
  int64_t strideBytes;
  uint8_t format;
};

/** Rows of a weight, one per output column, unaligned: f32, bf16 (widened on load), or the type of the
 * activations. */
struct WeightRows {
  const void* data;
  int64_t strideBytes;
  uint8_t format;
};

/**
 * Queries of the heads that share one key/value head, against all keys of their canvas. Index of a query and
 * head: query · group + head.
 */
struct AttentionBlock {
  const float* query;  // (queries, stride): the heads of the group side by side
  const void* key;     // (keys, stride): one head
  const void* value;   // likewise
  uint8_t keyFormat;   // of keys and values: f32 or `computeDtype`
  int64_t queryStride, keyStride, valueStride;
  int64_t group, headDim, keys;
  const int32_t* positions;  // (queries), among the keys, ascending
  int64_t maskBlock;         // of AttentionMask
  int64_t first, count;      // indices [first, first + count); count ≤ attentionRows
  float scale;
  uint8_t computeDtype;
  float* scratch;  // attentionScratch(headDim) floats of cpu_backend.h, aligned to 64 bytes
  float* out;      // as query
  int64_t outStride;
  float* logSumExp;  // (queries, stride), or null
  int64_t logSumExpStride;
};

/** Of one query or key head: columns in all, and in each half of those that are rotated. */
struct RotatedHead {
  int64_t columns;
  int64_t half;
  float epsilon;
  uint8_t computeDtype;
};

/** Statistics of some logits of one row, for `score`. */
struct RowStatistics {
  float maximum;
  float second;    // the next largest, equal to `maximum` on ties
  int32_t argmax;  // lowest id
  bool notFinite;  // contains NaN or +∞
  int64_t minusInfinities;
  double sum;       // Σ exp(z − maximum)
  double weighted;  // Σ exp(z − maximum) · (z − maximum)
};

/** Some logits of a row from which a token is drawn. */
struct DrawRow {
  const float* logits;
  float maximum;             // of all logits of the row
  uint64_t seed;             // of the random numbers: core/random.h
  uint32_t position, round;  // likewise
};

struct Kernels {
  const char* name;

  /** Whether matmuls in this compute dtype read rows and weights of that type; otherwise rows are f32. */
  bool multipliesBf16, multipliesF16;

  /** out[i] = source[i] widened to f32 and rounded to `computeDtype`; the source may be unaligned. */
  void (*widen)(const void* source, uint8_t format, uint8_t computeDtype, int64_t count, float* out);

  /** out[i] = source[i] rounded to a format that matmuls take; the source may be unaligned. */
  void (*narrow)(const void* source, uint8_t format, uint8_t to, int64_t count, uint16_t* out);

  /** In place. */
  void (*round)(uint8_t computeDtype, int64_t count, float* values);

  /** out[r · outStride + c] = x[r] · weights[c], `inner` long. */
  void (*multiply)(const RowSource& x, int64_t rows, const WeightRows& weights, int64_t columns,
                   int64_t inner, float* out, int64_t outStride);

  /** out[targets[r] · outStride + c] += factors[r] · (x[r] · weights[c]). */
  void (*multiplyAccumulate)(const RowSource& x, const int32_t* targets, const float* factors, int64_t rows,
                             const WeightRows& weights, int64_t columns, int64_t inner, float* out,
                             int64_t outStride);

  /** out[r · outStride + c] = round(silu(x[r] · gate[c]) · (x[r] · up[c])). */
  void (*gateUp)(const RowSource& x, int64_t rows, const WeightRows& gate, const WeightRows& up,
                 int64_t columns, int64_t inner, uint8_t computeDtype, float* out, int64_t outStride);

  /** residual += delta (when not null); out = round(residual / rms · scale). */
  void (*addRmsNorm)(float* residual, const float* delta, const float* scale, float epsilon, int64_t count,
                     uint8_t computeDtype, float* out);

  /** out += x. */
  void (*add)(const float* x, int64_t count, float* out);

  /** One head: RMSNorm (if scale is not null), rotary embedding with cosines[half], sines[half], rounding. */
  void (*normRopeHead)(const RotatedHead& shape, const float* scale, const float* cosines, float* head);

  void (*attention)(const AttentionBlock& block);

  /** logits[i] /= temperature (when not 1), then the statistics; sums only if all values are finite or −∞. */
  void (*statistics)(float* logits, int64_t count, float temperature, RowStatistics* statistics);

  /**
   * tokens = those of [first, first + count), to which the logits belong, that may have the largest sum of
   * logit and Gumbel noise, ascending; returns their number. `best`: the largest sum so far, less the row's
   * maximum; −∞ at first. `first` is a multiple of 4; logits are finite or −∞.
   */
  int64_t (*likelyDraws)(const DrawRow& row, int64_t first, int64_t count, float* best, int32_t* tokens);

  /**
   * multiplyAddsPerRound(computeDtype) multiply-adds, `rounds` times, in registers, with the instructions of
   * matmuls; returns a value, so that the loop is not optimised away.
   */
  float (*multiplyAddLoop)(uint8_t computeDtype, int64_t rounds);
  int64_t (*multiplyAddsPerRound)(uint8_t computeDtype);

  const TrainingKernels* training;
};

// Null when not built for this processor family.
const Kernels* baselineKernels();
const Kernels* avx2Kernels();
const Kernels* avx512Kernels();
const Kernels* avx512Bf16Kernels();
const Kernels* amxKernels();
const Kernels* neonF16Kernels();
const Kernels* neonBf16Kernels();

}  // namespace rnd1::cpu
