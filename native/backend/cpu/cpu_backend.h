#pragma once

#include <memory>
#include <string>
#include <vector>

#include "backend/backend.h"
#include "backend/cpu/kernels.h"
#include "backend/cpu/quantized_products.h"
#include "backend/cpu/sampling.h"
#include "backend/selection.h"
#include "core/parallel.h"

namespace rnd1::cpu {

// About what waking the pool costs, in multiply-adds.
constexpr int64_t worthSharing = 1 << 15;

constexpr int64_t blocksOf(int64_t columns) { return (columns + columnBlock - 1) / columnBlock; }

/** Rows whose logits exist at the same time: at most 64 MiB of them, but enough to read the head seldom. */
constexpr int64_t scoreChunkRows(int64_t vocabulary) {
  const int64_t rows = (int64_t{64} << 20) / 4 / (vocabulary > 0 ? vocabulary : 1);
  return rows < 16 ? 16 : rows;
}

/** The verbs on host memory: splits the work into items for the pool, kernels do the rest. */
class CpuBackend final : public Backend {
 public:
  CpuBackend(DType dtype, int threads, const Kernels& kernels);

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
  Weight place(const Weight& mapped) override;
  void reserve(const Limits& limits) override;

  void embed(const int32_t* tokens, const Weight& table, Tensor out) override;
  void addRmsNorm(Tensor residual, const Tensor* delta, const Weight& scale, float epsilon,
                  Tensor out) override;
  void matmul(Tensor x, std::span<const Weight> weights, Tensor out) override;
  void normRope(Tensor qkv, const HeadLayout& layout, const Weight& queryNorm, const Weight& keyNorm,
                float epsilon, const int32_t* positions, Tensor rotary) override;
  void attention(Tensor query, Tensor key, Tensor value, const HeadLayout& layout, CanvasOffsets queryOffsets,
                 CanvasOffsets keyOffsets, AttentionMask mask, float scale, Tensor out,
                 float* logSumExp) override;
  void route(Tensor x, const Weight& router, const RouteOptions& options, Dispatch& dispatch) override;
  void experts(Tensor x, std::span<const ExpertWeights> weights, const Dispatch& dispatch, Tensor activated,
               Tensor out) override;
  void mlp(Tensor x, const ExpertWeights& weights, Tensor activated, Tensor out) override;
  void gatherRows(Tensor x, const int32_t* rows, Tensor out) override;
  void logits(Tensor x, const Weight& head, Tensor out) override;
  void score(Tensor x, const Weight& head, std::span<const ScoreRow> rows,
             std::span<const SamplingPlan> plans, bool plain, std::span<Score> scores) override;
  void scoreLogits(Tensor logits, std::span<const ScoreRow> rows, std::span<const SamplingPlan> plans,
                   std::span<Score> scores) override;
  void unmask(std::span<const UnmaskCanvas> canvases, std::span<const ScoreRow> rows,
              std::span<const uint8_t> eligible, std::span<Score> scores) override;
  Peaks measurePeaks(double effort) override;

 private:
  /** One thread's own memory. */
  struct Scratch {
    std::vector<float> weights;   // (columnBlock, innerColumns), widened
    std::vector<float> products;  // (rows, columnBlock), twice: gate and up
    std::vector<float> attention;
    RowSampler sampler;
  };

  struct WeightBlock {
    const float* data;
    int64_t stride;
  };

  /** Rows [first, first + count) of a weight as f32, rounded to the arithmetic; in place when they are that
   * already. */
  WeightBlock widened(const Weight& weight, int64_t first, int64_t count, float* scratch) const;
  /** A norm's scale as f32. */
  const float* widenedVector(const Weight& weight, std::vector<float>& buffer) const;
  /** forEach, or a plain loop when the job is too small to be worth waking anybody. */
  template <typename Job>
  void parallel(int64_t items, int64_t operations, Job&& job) {
    if (operations < worthSharing) {
      for (int64_t item = 0; item < items; ++item) job(item, 0);
    } else {
      pool_.forEach(items, job);
    }
  }
  /** activated[r] = round(silu(gate · x[r]) ∘ (up · x[r])) for one block of columns. */
  void gateUpBlock(const RowSource& x, int64_t rows, const ExpertWeights& weights, int64_t block,
                   Tensor activated, Scratch& scratch) const;
  void scoreRows(Tensor logits, bool givenLogits, std::span<const ScoreRow> rows,
                 std::span<const SamplingPlan> plans, std::span<Score> scores);

  const Kernels& kernels_;
  const DType dtype_;
  const uint8_t arithmetic_;
  ThreadPool pool_;
  std::unique_ptr<QuantizedProducts> quantized_;  // once a quantized weight was placed
  std::vector<Scratch> scratch_;
  std::vector<float> firstVector_, secondVector_;  // norms, widened
  std::vector<float> logitsChunk_;
  PositionSelector selector_;
};

}  // namespace rnd1::cpu
