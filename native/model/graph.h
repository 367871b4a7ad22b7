#pragma once

#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "backend/backend.h"
#include "core/abort.h"
#include "model/batch.h"
#include "model/blocks.h"

namespace rnd1 {

/** One canvas of a forward pass and its outputs, in host memory; an empty span is not computed. */
struct ForwardCanvas {
  std::span<const int32_t> tokens;
  std::span<const int32_t> rows;           // the positions to return, R of them
  std::span<const int32_t> forcedExperts;  // (layers with experts, tokens, k), or empty
  std::span<float> logits;                 // (R, vocabulary)
  std::span<float> hidden;                 // (layers + 2, R, hidden)
  std::span<float> routerLogits;           // (layers with experts, R, experts)
  std::span<int32_t> expertIds;            // (layers with experts, R, k)
  std::span<float> expertWeights;          // (layers with experts, R, k)
  std::optional<AttentionMask> mask;       // instead of the layers' own; the same for all canvases of a pass
};

/** One canvas of a step. */
struct StepCanvas {
  std::span<const int32_t> tokens;
  std::span<const int32_t> masked;    // ascending
  std::span<const uint8_t> eligible;  // aligned with masked
  SamplingPlan sampling;
  UnmaskPlan unmask;
  std::span<Score> scores;  // output, aligned with masked
  bool finite = true;       // output; false: the scores are invalid
};

/** The model: embed → layers → final norm → logits, or score → unmask. One pass at a time. */
class Model {
 public:
  Model(const Architecture& architecture, std::unique_ptr<Backend> backend, const Manifest& manifest,
        const std::function<void(const LoadProgress&)>& onProgress, const AbortFlag& abort);

  const Architecture& architecture() const { return architecture_; }
  Backend& backend() { return *backend_; }
  int64_t weightBytes() const { return blocks_.bytes; }

  /**
   * Passes over all canvases, packed. Throws Error aborted between layers, and io naming a
   * mapped file that changed: then the results are invalid.
   */
  void forward(std::span<ForwardCanvas> canvases, const AbortFlag& abort);

  /** Forward, score and unmask. NaN or infinity marks only its own canvas. Throws as `forward`. */
  void step(std::span<StepCanvas> canvases, const AbortFlag& abort);

  /**
   * Sizes all memory for batches up to `shape` of canvases up to `length`, so that a step does not allocate.
   * Called by forward and step too.
   */
  void reserve(const BatchShape& shape, int64_t length, int64_t scoredRows);

 private:
  struct Capture;

  /** Input rows of the layers. */
  struct Rows {
    int64_t count = 0;
    const int32_t* validRows = nullptr;
    PackedRows packed;
    // The rows whose final states are needed: the last layer's MLP runs for these only. No rows: all.
    RowSelection wanted;
  };

  template <typename Canvas>
  Rows pack(std::span<Canvas> canvases, const BatchShape& shape);
  /** Returns the normed final states of all rows, or of the wanted ones. */
  Tensor runLayers(const Rows& rows, const AbortFlag& abort, const Capture* capture);
  /** Computes the logits that canvases of a forward pass request. */
  void fetchLogits(Tensor normed, std::span<const ForwardCanvas> canvases, const AbortFlag& abort);
  /** Lists the rows to score, greedy unfiltered canvases first. */
  void packScores(std::span<const StepCanvas> canvases, const BatchShape& shape);
  void scoreAndUnmask(Tensor normed, const BatchShape& shape);
  /** Runs `pass`. If it throws, first waits until the backend no longer reads the batch. */
  template <typename Pass>
  void settled(Pass&& pass) {
    try {
      pass();
    } catch (...) {
      settle();
      throw;
    }
  }
  void settle() noexcept;

  const Architecture architecture_;
  std::unique_ptr<Backend> backend_;
  Blocks blocks_;
  // What the layers share.
  Buffer<float> residual_;  // (rows, hidden), f32 throughout
  Buffer<float> normed_;    // (rows, hidden)
  Buffer<float> delta_;     // (rows, hidden): what a block adds to the residual
  Buffer<float> gathered_;  // (rows, hidden)
  Buffer<Score> scores_;
  Batch batch_;
  // Host staging, kept between passes.
  std::vector<int32_t> gather_, forced_;
  Buffer<Score, Side::host> hostScores_;
};

}  // namespace rnd1
