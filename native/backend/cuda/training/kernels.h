#pragma once

#include <cuda_runtime.h>

#include <cstdint>

#include "backend/training_ops.h"

/**
 * Launchers of training: one or a few per op of training_ops.h, which documents the results. All f32 but for
 * weights of products, which may be bf16; all pointers are device memory; all work is queued on `stream`
 * without waiting. No atomics: every sum has an owner and an order.
 */
namespace rnd1::cuda {

constexpr int64_t blocksOf(int64_t count, int64_t block) { return (count + block - 1) / block; }

// --- Rows

void copyRows(cudaStream_t stream, Tensor x, Tensor out);
void addRows(cudaStream_t stream, const float* vector, Tensor out);
/** sums[i] += values[i]. */
void addValues(cudaStream_t stream, const float* values, float* sums, int64_t count);
/** out[rows[r]] = x[r]; zeros elsewhere. */
void scatterRows(cudaStream_t stream, Tensor x, const int32_t* rows, Tensor out);
void embedBackward(cudaStream_t stream, const int32_t* tokens, Tensor dout, float* dTable);

/** total[i] += partial[0][i] + partial[1][i] + …, one after another. */
void addBlocks(cudaStream_t stream, const float* partial, int64_t blocks, int64_t stride, int64_t count,
               float* total);

/** factors: (rows), partial: (blocks of normBlock, columns); scratch for dScale. */
void rmsNormBackward(cudaStream_t stream, Tensor residual, const Weight& scale, float epsilon, Tensor dout,
                     Tensor dresidual, float* dScale, float* factors, float* partial);

/** factors: (rows, query and key heads); partial: (blocks of normBlock, 2 headDim + columns). */
void normRopeBackward(cudaStream_t stream, Tensor before, const HeadLayout& layout, const HeadNorms& norms,
                      const int32_t* positions, Tensor rotary, Tensor dQkv,
                      const HeadNormGradients& gradients, float* factors, float* partial);

// --- Products

/** Which of an expert's matrices. */
enum class ExpertMatrix { gate, up, down };

/** Rows in groups, each with a weight of its own; or all rows with one weight. */
struct RowGroups {
  const ExpertWeights* experts = nullptr;  // (count); null: `weight`
  ExpertMatrix matrix = ExpertMatrix::gate;
  Weight weight;                     // otherwise the shape of all
  const int32_t* offsets = nullptr;  // (count + 1)
  int64_t count = 1;
};

/**
 * out[r] (+)= a[aRows[r]] · weightᵀ, or · weight if `plain`. aRows null: identity. Sums of 1,024 steps are
 * added one after another.
 */
void multiplyRows(cudaStream_t stream, Tensor a, const int32_t* aRows, const RowGroups& groups, bool plain,
                  Tensor out, bool accumulates);

/** Gradients of weights: sums over steps, which are rows, or slots of experts. */
struct WeightGradient {
  Tensor dout, x;                     // (…, outputs), (…, inputs)
  const int32_t* doutRows = nullptr;  // of steps; null: identity
  const int32_t* xRows = nullptr;
  const int32_t* packed = nullptr;   // packed rows of steps, ascending within a group; null: identity
  int64_t rows = 0;                  // packed rows in all; 0: unknown
  int64_t steps = 0;                 // if there is one group
  const int32_t* offsets = nullptr;  // (groups + 1) of steps; null: one group
  int64_t groups = 1;
  const ExpertGradients* gradients = nullptr;  // (groups); null: `out`
  ExpertMatrix matrix = ExpertMatrix::gate;
  float* out = nullptr;
};

/** Floats of scratch that may speed up addWeightGradient: the bits are the same without. */
int64_t gradientScratch(const WeightGradient& gradient);
/** gradient += doutᵀ x, in blocks of gradientBlock packed rows. scratch: see above, or null. */
void addWeightGradient(cudaStream_t stream, const WeightGradient& gradient, float* scratch);

// --- Attention

/** rowDots: (rows, heads), scratch. */
void attentionBackward(cudaStream_t stream, Tensor qkv, Tensor out, const float* logSumExp, Tensor dout,
                       const HeadLayout& layout, CanvasOffsets canvases, AttentionMask mask, float scale,
                       Tensor dQkv, float* rowDots);

// --- Experts

/** Slots in the order of a dispatch. */
struct SlotLists {
  int32_t* rows = nullptr;    // of slots
  float* factors = nullptr;   // their routing weights
  int32_t* places = nullptr;  // (rows, k): the slot of a choice, −1 if it was taken out
};

/** Regroups the slots of `rows` (count, ascending) only. kept: (dispatch.rows) bytes, scratch. */
void keepRows(cudaStream_t stream, const int32_t* rows, int64_t count, const Dispatch& dispatch,
              uint8_t* kept);
void listSlots(cudaStream_t stream, const Dispatch& dispatch, const SlotLists& lists);
/** out = factor · silu(gate) ∘ up for all slots that there are; factors null: 1. `last`: the end of offsets;
 * null: all rows. */
void swiglu(cudaStream_t stream, Tensor gate, Tensor up, const float* factors, const int32_t* last,
            Tensor out);
/** As TrainingKernels::swigluBackward. dWeights[slots[s]] = the gradient of a factor; null: not wanted. */
void swigluBackward(cudaStream_t stream, Tensor gate, Tensor up, Tensor gradient, const float* factors,
                    const int32_t* slots, const int32_t* last, float* dWeights);
/** out[row] (+)= the products of its slots, in ascending order of expert. */
void sumSlots(cudaStream_t stream, Tensor products, const Dispatch& dispatch, const int32_t* places,
              Tensor out, bool accumulates);

// --- Routers

/** totals: (experts + 1) doubles: Σ probabilities, Σ logSumExp²; counts: (experts). partial: (blocks of
 * normBlock, experts + 1), scratch. */
void routerSums(cudaStream_t stream, const Dispatch& dispatch, double* partial, double* totals,
                int32_t* counts);
void routeBackward(cudaStream_t stream, const Dispatch& dispatch, const RouteOptions& options,
                   const float* dRoutingWeights, const RouterLosses& losses, Tensor dLogits);

// --- Cross entropy

/** Columns of the vocabulary whose statistics are added in order. */
constexpr int64_t statisticsBlock = 1024;

/** Statistics of rows of logits. */
struct LogitStatistics {
  float* maxima = nullptr;        // (rows, blocks of the vocabulary)
  double* sums = nullptr;         // likewise
  float* targetLogits = nullptr;  // (rows)
  int64_t blocks = 0;
};

/** Of the logits of the vocabulary from `first`, a multiple of statisticsBlock, on. */
void logitStatistics(cudaStream_t stream, Tensor logits, const int32_t* targets, int64_t first,
                     const LogitStatistics& statistics);
/** The first block's place holds the row's own statistics afterwards. */
void crossEntropies(cudaStream_t stream, int64_t rows, const LogitStatistics& statistics, double* out);
/** In place of logits, their gradients. */
void logitGradients(cudaStream_t stream, Tensor logits, const ScoredRows& scored, int64_t first,
                    const LogitStatistics& statistics);

// --- Optimizer

/** Elements whose squares are summed at a time. */
constexpr int64_t normElements = 1 << 16;

/** sums: one of each normElements values. */
void squaredNorms(cudaStream_t stream, const float* values, int64_t count, double* sums);
/** out = values in bf16. */
void narrowValues(cudaStream_t stream, const float* values, int64_t count, uint16_t* out);
void adamw(cudaStream_t stream, const AdamTensor& tensor, const AdamStep& step);

}  // namespace rnd1::cuda
