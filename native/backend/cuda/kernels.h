#pragma once

#include <cuda_runtime.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <span>

#include "backend/backend.h"
#include "backend/cuda/attention.h"

/**
 * Kernel launchers, one or a few per op of ops.h, which documents the results. All pointers are device
 * memory; all work is queued on `stream` without waiting. Row counts determine the shape of a launch;
 * offsets, row lists and routes are read on the device.
 */
namespace rnd1::cuda {

void embed(cudaStream_t stream, const int32_t* tokens, const Weight& table, Tensor out);
void add(cudaStream_t stream, Tensor x, Tensor out);
void gatherRows(cudaStream_t stream, Tensor x, const int32_t* rows, Tensor out);
void addRmsNorm(cudaStream_t stream, DType computeDtype, Tensor residual, const Tensor* delta,
                const Weight& scale, float epsilon, Tensor out);
void normRope(cudaStream_t stream, DType computeDtype, Tensor qkv, const HeadLayout& layout,
              const HeadNorms& norms, const int32_t* positions, Tensor rotary, Tensor out);

/** Values of a row in 16 bits, padded so that rows are aligned to 16 bytes. */
constexpr int64_t narrowStride(int64_t columns) { return (columns + 7) / 8 * 8; }

/** x in 16 bits, in `memory` of x.rows · narrowStride(x.columns) values: exact, as ops have rounded x
 * already. Padding is zero. */
Tensor narrow(cudaStream_t stream, DType computeDtype, Tensor x, uint16_t* memory);

/** What the code has that this GPU runs: a GPU may run code for older ones, without newer instructions. */
struct CodeFeatures {
  bool earlyLaunches = false;  // programmatic dependent launch: from sm_90 on
  bool clusters = false;       // copies to several blocks of a cluster: sm_90 to sm_110
};
CodeFeatures codeFeatures();

/** Thresholds for the choice of a matmul kernel. All kernels give the same bits. */
struct Borders {
  int64_t fewRows = 32;        // up to this many rows, tiles of a matmul have 32,
  int64_t mediumRows = 64;     // up to this many 64, above it 128
  int64_t manyRows = 512;      // from this many rows on, a matmul is compute-bound
  int64_t fewExpertRows = 32;  // the same two for the average rows per expert
  int64_t manyExpertRows = 96;
  bool clusters = false;  // whether blocks run in clusters

  bool manySlots(int64_t slots, int64_t experts) const { return slots >= manyExpertRows * experts; }
  bool fewSlots(int64_t slots, int64_t experts) const { return slots <= fewExpertRows * experts; }
};

/** out = x · weightsᵀ, side by side; on tensor cores if x has 16 bits and all weights suit. */
void matmul(cudaStream_t stream, DType computeDtype, const Borders& borders, Tensor x,
            std::span<const Weight> weights, Tensor out);

/** Pieces of the sums of a router that gets rows of `hidden` values. */
int64_t routerPieces(int64_t hidden);
/** partials (routerPieces, x.rows, experts), whose sums are x · routerᵀ. x has 16 bits, and the router suits.
 */
void routerLogits(cudaStream_t stream, DType computeDtype, Tensor x, const Weight& router, float* partials);
/** The best k experts of every row and their weights, from dispatch.routerLogits. These are first filled with
 * the sums of `pieces` partials, if there are any. */
void selectExperts(cudaStream_t stream, const RouteOptions& options, const Dispatch& dispatch,
                   const float* partials, int64_t pieces);
/** dispatch.offsets and dispatch.slots from dispatch.expertIds. */
void groupByExpert(cudaStream_t stream, const Dispatch& dispatch);

/** Whether a matmul can use tensor cores. Depends on dtypes only, so that it is the same for every batch. */
inline bool suitsMma(DType computeDtype, const Weight& weight) {
  return computeDtype != DType::f32 && (weight.dtype == computeDtype || weight.quantized());
}
inline bool suitMma(DType computeDtype, std::span<const Weight> weights) {
  return std::all_of(weights.begin(), weights.end(),
                     [&](const Weight& weight) { return suitsMma(computeDtype, weight); });
}

/** The matrices of all experts of a layer. */
struct ExpertTable {
  const ExpertWeights* experts = nullptr;  // (count), in device memory, as are the matrices
  int64_t count = 0;
  // The format of all these matrices if tensor cores can multiply them, otherwise f32.
  DType gateUp = DType::f32, down = DType::f32;
};

/** activated[slot] = round(silu(gate · x) ∘ (up · x)); slots null: one expert, slot = row. x has 16 bits
 * unless table.gateUp is f32, activated unless table.down is. */
void gateUp(cudaStream_t stream, DType computeDtype, const Borders& borders, Tensor x,
            const ExpertTable& table, const Dispatch& dispatch, Tensor activated);
/** products[slot] = down · activated[slot]. */
void down(cudaStream_t stream, DType computeDtype, const Borders& borders, Tensor activated,
          const ExpertTable& table, const Dispatch& dispatch, Tensor products);
/** Outputs of experts by slot, and whose they are. */
struct SlotProducts {
  Tensor products;
  Dispatch dispatch;
};
/** out[row] = Σ weight · products[slot], in ascending order of expert. */
void combine(cudaStream_t stream, const SlotProducts& slots, Tensor out);
/** Whether combineRmsNorm can do it. */
bool combinesWithNorm(const Tensor& products, const Tensor& residual);
/** addRmsNorm of what combine gives, with the same bits. */
void combineRmsNorm(cudaStream_t stream, DType computeDtype, const SlotProducts& slots, Tensor residual,
                    const Weight& scale, float epsilon, Tensor out);

/** See Backend::measurePeaks. Waits for the stream. */
Peaks measurePeaks(cudaStream_t stream, DType computeDtype, int multiprocessors, double effort);

/** Scores of given logits, which are overwritten. `givenLogits`: −∞ is allowed. */
void scoreRows(cudaStream_t stream, Tensor logits, bool givenLogits, const ScoreRow* rows,
               const SamplingPlan* plans, Score* scores);

/** logits = unconditional + (scale + 1) · (logits − unconditional), with the scale of the row's plan. */
void guide(cudaStream_t stream, Tensor logits, Tensor unconditional, const ScoreRow* rows,
           const SamplingPlan* plans);

/** Statistics of one row of logits over a part of the vocabulary. */
struct GreedyPartial {
  double sum = 0;       // Σ exp(z − maximum)
  double weighted = 0;  // Σ exp(z − maximum) · (z − maximum)
  float maximum = -INFINITY;
  float second = -INFINITY;  // the next largest, equal to `maximum` on ties
  int32_t token = INT32_MAX;
  int32_t bad = 0;  // nonzero: contains NaN or infinity
};

/** Number of parts of a vocabulary. */
int64_t greedyParts(int64_t vocabulary);

/** Scores of x · headᵀ for plans that are all greedy and unfiltered; x as for matmul. partials: (x.rows,
 * greedyParts), scratch. */
void scoreGreedy(cudaStream_t stream, DType computeDtype, bool clusters, Tensor x, const Weight& lmHead,
                 const ScoreRow* rows, const SamplingPlan* plans, GreedyPartial* partials, Score* scores);

/** Backend::unmask. keys: scratch, one for each score. */
void unmask(cudaStream_t stream, const UnmaskCanvas* canvases, int64_t count, const ScoreRow* rows,
            const uint8_t* eligible, Score* scores, uint64_t* keys);

}  // namespace rnd1::cuda
