#pragma once

#include <cuda_runtime.h>

#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "backend/backend.h"
#include "backend/cuda/kernels.h"
#include "backend/cuda/memory.h"
#include "backend/cuda/recording.h"
#include "backend/cuda/trace.h"
#include "backend/cuda/training/cuda_training.h"

namespace rnd1::cuda {

/** Owns a stream. */
class Stream {
 public:
  explicit Stream(int ordinal);
  ~Stream();
  Stream(const Stream&) = delete;
  Stream& operator=(const Stream&) = delete;
  cudaStream_t get() const { return stream_; }

 private:
  cudaStream_t stream_ = nullptr;
};

/** The ops on one GPU: everything runs in order on one stream. */
class CudaBackend : public Backend {
 public:
  /** Throws Error cuda_unavailable or cuda_error. */
  CudaBackend(DType dtype, int ordinal);

  std::string device() const override { return "cuda:" + std::to_string(ordinal_); }
  std::string instructionSet() const override { return name_; }
  int threads() const override { return 1; }
  DType dtype() const override { return dtype_; }
  DType activationDtype() const override { return dtype_; }

  void* allocate(size_t bytes) override;
  void release(void* memory) noexcept override;
  void* allocateCache(size_t bytes) override;
  void releaseCache(void* memory) noexcept override;
  void upload(void* destination, const void* host, size_t bytes) override;
  void download(void* host, const void* source, size_t bytes) override;
  void synchronize() override;
  void* allocateHost(size_t bytes) override;
  void releaseHost(void* memory) noexcept override;
  int64_t bucket(int64_t count, int64_t max) const override;
  void expectWeights(int64_t bytes, int64_t tensors) override;
  bool copiesOnPlace() const override { return true; }
  Weight place(const Weight& mapped) override;
  void reserve(const Limits& limits) override;
  void runSequence(const SequenceKey& key, const std::function<void()>& ops) override;
  void startTrace() override { trace_.start(stream()); }
  std::vector<TracedLaunch> finishTrace() override { return trace_.finish(stream()); }
  bool setBorder(std::string_view name, int64_t value) override;
  TrainingOps* training() override;
  /** Makes the GPU this thread's current device and returns the stream, with everything before on it. */
  cudaStream_t stream();

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
  /** Weight pointers of all experts of a layer, on the host and on the device. */
  struct CachedTable {
    std::vector<ExpertWeights> host;
    Scratch<ExpertWeights> device;
    ExpertTable table;
  };

  /** Sums over experts that are not on the stream yet. */
  struct WaitingSum {
    SlotProducts slots;
    Tensor out;
  };

  /** `stream` without what waits. */
  cudaStream_t streamOnly();
  ExpertTable tableOf(std::span<const ExpertWeights> weights);
  /** Call before memory moves: waits, discards the recordings. Throws Error during a recording. */
  void beforeMemoryMoves();
  /** Returns scratch of at least `count` values; growing it discards the recordings. */
  template <typename T>
  T* grown(Scratch<T>& scratch, int64_t count);
  /** The tensor in 16 bits if matmuls with it use tensor cores, otherwise unchanged. */
  Tensor operand(Tensor x, bool mma, Scratch<uint16_t>& scratch);
  /** The memory for what gate and up give to down. */
  Tensor activatedIn(Tensor memory, bool mma);

  const DType dtype_;
  const int ordinal_;
  Stream stream_;
  std::string name_;
  CodeFeatures features_;
  bool early_ = false;  // launches
  WeightArena arena_;
  std::unordered_map<const std::byte*, CachedTable> tables_;  // keyed by the first expert's gate data
  Scratch<float> products_;  // (slots, hidden): each slot's output before the sum
  std::optional<WaitingSum> waiting_;
  Scratch<float> logitsChunk_;
  Scratch<float> routerPartials_;    // (pieces, rows, experts)
  Scratch<GreedyPartial> partials_;  // (rows, parts of the vocabulary)
  Scratch<uint64_t> keys_;           // sort keys of unmasking
  // Activations in 16 bits, where ops get them in f32.
  Scratch<uint16_t> narrowX_, narrowActivated_, narrowQuery_, narrowKey_, narrowValue_;
  Recordings recordings_;
  LaunchTrace trace_;
  Borders borders_;
  std::unique_ptr<CudaTraining> training_;
};

}  // namespace rnd1::cuda
