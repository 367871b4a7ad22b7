#pragma once

#include <memory>
#include <string>
#include <vector>

#include "backend/backend.h"
#include "backend/cpu/buffer.h"
#include "backend/cpu/float/kernels.h"
#include "backend/cpu/partition.h"
#include "backend/cpu/quantized/quantized_ops.h"
#include "backend/cpu/sampling.h"
#include "backend/cpu/training/cpu_training.h"
#include "backend/unmask.h"
#include "core/parallel.h"

namespace rnd1::cpu {

// Approximate cost of waking the pool, in multiply-adds.
constexpr int64_t worthSharing = 1 << 15;

// Bytes of x to keep in the L2 cache while rows of a weight stream through.
constexpr int64_t cachedRowBytes = 640 << 10;

// Weight rows to convert at a time, if they cannot be used in place.
constexpr int64_t convertedColumns = 24;

/**
 * Row stride for rows of `bytes`: an odd number of 64-byte cache lines. Strides of a power of two would map
 * all rows to a few cache sets.
 */
constexpr int64_t spreadBytes(int64_t bytes) { return (blocksOf(bytes, 64) | 1) * 64; }

/** Floats of scratch for one attention block: packed queries, keys and values, scores, sums, maxima and
 * totals, widened keys and values. */
constexpr int64_t attentionScratch(int64_t headDim) {
  return blocksOf(headDim, 32) * 32 * (2 * attentionRows + 5 * keyBlock) + 16 * keyBlock + 2 * attentionRows;
}

/**
 * Rows of logits in memory at a time: up to 64 MiB, but at least 16 rows, to limit passes over the LM head.
 */
constexpr int64_t scoreChunkRows(int64_t vocabulary) {
  const int64_t rows = (int64_t{64} << 20) / 4 / (vocabulary > 0 ? vocabulary : 1);
  return rows < 16 ? 16 : rows;
}

/** Rows of logits of one vocabulary block in the cache at a time. */
constexpr int64_t scoredAtOnce = 96;

/** Ops on host memory: splits the work into items for the pool; kernels compute them. */
class CpuBackend final : public Backend {
 public:
  CpuBackend(DType dtype, int threads, const Kernels& kernels, SimulatedThreads* simulated = nullptr);

  std::string device() const override { return "cpu"; }
  std::string instructionSet() const override { return kernels_.name; }
  int threads() const override { return pool_.threads(); }
  DType dtype() const override { return dtype_; }

  void* allocate(size_t bytes) override;
  void release(void* memory) noexcept override;
  void upload(void* destination, const void* host, size_t bytes) override;
  void download(void* host, const void* source, size_t bytes) override;
  void synchronize() override {}
  void* allocateHost(size_t bytes) override { return allocate(bytes); }
  void releaseHost(void* memory) noexcept override { release(memory); }
  int64_t bucket(int64_t count, int64_t) const override { return count; }
  void expectWeights(int64_t, int64_t) override {}
  bool copiesOnPlace() const override { return false; }
  Weight place(const Weight& mapped) override;
  void reserve(const Limits& limits) override;
  TrainingOps* training() override;

  void embed(const int32_t* tokens, const Weight& table, Tensor out) override;
  void addRmsNorm(Tensor residual, const Tensor* delta, const Weight& scale, float epsilon,
                  Tensor out) override;
  void matmul(Tensor x, std::span<const Weight> weights, Tensor out) override;
  void normRope(Tensor qkv, const HeadLayout& layout, const HeadNorms& norms, const int32_t* positions,
                Tensor rotary, Tensor out) override;
  void cacheKeys(Tensor key, Tensor value, CanvasOffsets canvases, const int32_t* positions,
                 const LayerCaches& caches) override;
  void attention(Tensor query, Tensor key, Tensor value, const HeadLayout& layout, const AttentionRows& rows,
                 AttentionMask mask, float scale, Tensor out, float* logSumExp) override;
  void route(Tensor x, const Weight& router, const RouteOptions& options, Dispatch& dispatch) override;
  void experts(Tensor x, std::span<const ExpertWeights> weights, const Dispatch& dispatch, Tensor activated,
               Tensor out) override;
  void mlp(Tensor x, const ExpertWeights& weights, Tensor activated, Tensor out) override;
  void add(Tensor x, Tensor out) override;
  void gatherRows(Tensor x, const int32_t* rows, Tensor out) override;
  void logits(Tensor x, const Weight& lmHead, Tensor out) override;
  void score(Tensor x, const Weight& lmHead, std::span<const ScoreRow> rows,
             std::span<const SamplingPlan> plans, bool greedyUnfiltered, std::span<Score> scores) override;
  void scoreGuided(Tensor x, Tensor unconditional, const Weight& lmHead, std::span<const ScoreRow> rows,
                   std::span<const SamplingPlan> plans, std::span<Score> scores) override;
  void scoreLogits(Tensor logits, std::span<const ScoreRow> rows, std::span<const SamplingPlan> plans,
                   std::span<Score> scores) override;
  void unmask(std::span<const UnmaskCanvas> canvases, std::span<const ScoreRow> rows,
              std::span<const uint8_t> eligible, std::span<Score> scores) override;
  Peaks measurePeaks(double effort) override;

 private:
  /** Scratch of one thread. */
  struct Scratch {
    Buffer<std::byte> weights;  // (2 · convertedColumns, innerColumns), converted
    Buffer<std::byte> rows;     // rows of x of one expert
    Buffer<float> attention;
    Buffer<float> logits;     // (scoredAtOnce, statisticsColumns)
    Buffer<float> selection;  // (experts) scores that a row's experts are selected by, then (groups)
    RowSampler sampler;
  };

  /** x in the format that matmuls read: in place, or packed as 16 bits, valid until the next call. */
  RowSource matmulRows(Tensor x);
  /** Whether matmuls read this weight in place. */
  bool usedInPlace(const Weight& weight) const;
  /** Rows [first, first + count) of a weight in the format that matmuls read: in place, or converted into
   * `scratch`. */
  WeightRows weightRows(const Weight& weight, int64_t first, int64_t count, bool inPlace,
                        std::byte* scratch) const;
  /** Bytes from one packed or gathered row to the next. */
  int64_t rowBytes(int64_t columns) const { return spreadBytes(columns * elementBytes()); }
  /** Bytes per element of matmul operands. */
  int64_t elementBytes() const { return packs_ ? 2 : 4; }
  /** Rows of x to keep in the cache. */
  int64_t rowBlock(int64_t inner) const;
  /** job(row, rows, column, columns, weights) for parts of the columns [first, first + columns) and all rows.
   */
  template <typename Job>
  void forEachBlock(const Weight& weight, int64_t rows, int64_t first, int64_t columns, Scratch& scratch,
                    Job&& job) const;
  /** out[:, c] = x · weight[first + c], for c < columns. */
  void multiplyBlock(const RowSource& x, int64_t rows, const Weight& weight, int64_t first, int64_t columns,
                     float* out, int64_t outStride, Scratch& scratch) const;
  /** Reserves memory for rows of logits, which filters and draws need. */
  void reserveLogits(int64_t rows, int64_t vocabulary);
  /** A norm's scale as f32. */
  const float* widenedVector(const Weight& weight, Buffer<float>& buffer) const;
  /** job(item, thread) for each item, on the pool if the work is large enough. */
  template <typename Job>
  void parallel(int64_t items, int64_t operations, Job&& job) {
    forEachItem(pool_, items, operations, worthSharing, job);
  }
  /** Rows slots[r] / divisor of x, side by side in `scratch`. */
  RowSource gather(const RowSource& x, const int32_t* slots, int64_t rows, int64_t divisor, int64_t columns,
                   Scratch& scratch) const;
  /** activated[r] = round(silu(gate · x[r]) ∘ (up · x[r])), columns [first, first + columns). */
  void gateUpBlock(const RowSource& x, int64_t rows, const ExpertWeights& weights, int64_t first,
                   int64_t columns, Tensor activated, Scratch& scratch) const;
  /**
   * Greedy scores by vocabulary block, without storing complete rows of logits. rowsOf(part) returns the rows
   * of one of `rowParts`; multiply(rows, first, columns, logits, thread) multiplies them by a part of the LM
   * head.
   */
  template <typename RowsOf, typename Multiply>
  void scoreParts(Tensor x, const Weight& lmHead, int64_t rowParts, RowsOf&& rowsOf, Multiply&& multiply,
                  std::span<const ScoreRow> rows, std::span<const SamplingPlan> plans,
                  std::span<Score> scores);
  /** Greedy scores. */
  void scoreFused(Tensor x, const Weight& lmHead, std::span<const ScoreRow> rows,
                  std::span<const SamplingPlan> plans, std::span<Score> scores);
  void scoreRows(Tensor logits, bool givenLogits, std::span<const ScoreRow> rows,
                 std::span<const SamplingPlan> plans, std::span<Score> scores);

  const Kernels& kernels_;
  const DType dtype_;
  const uint8_t computeDtype_;
  const bool packs_;  // matmuls read rows packed in the 16-bit compute dtype
  ThreadPool pool_;
  std::unique_ptr<QuantizedOps> quantized_;  // null until a quantized weight is placed
  std::unique_ptr<CpuTraining> training_;    // null until asked for
  std::vector<Scratch> scratch_;
  Buffer<float> firstVector_, secondVector_, thirdVector_;  // norms and biases, widened
  Buffer<std::byte> packed_;                                // the rows of the running matmul, in 16 bits
  Buffer<int32_t> targets_;                                 // output row of each slot, grouped by expert
  Buffer<float> factors_;                                   // and its routing weight
  Buffer<float> logitsChunk_;
  Buffer<RowStatistics> statistics_;  // (scored rows, blocks of the vocabulary)
  Unmasker unmasker_;
};

}  // namespace rnd1::cpu
