#pragma once

#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "backend/backend.h"
#include "core/abort.h"
#include "model/batch.h"
#include "model/config.h"
#include "model/weights.h"
#include "model/workspace.h"

namespace rnd1 {

/** One canvas of a forward pass and its outputs, in host memory; an empty span is not computed. */
struct ForwardCanvas {
  std::span<const int32_t> tokens;
  std::span<const int32_t> rows;           // the positions to return, R of them
  std::span<const int32_t> forcedExperts;  // (layers, tokens, k), or empty
  std::span<float> logits;                 // (R, vocabulary)
  std::span<float> hidden;                 // (layers + 2, R, hidden)
  std::span<float> routerLogits;           // (layers, R, experts)
  std::span<int32_t> expertIds;            // (layers, R, k)
  std::span<float> expertWeights;          // (layers, R, k)
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
  Model(const Config& config, std::unique_ptr<Backend> backend, const Manifest& manifest,
        const std::function<void(const LoadProgress&)>& onProgress, const AbortFlag& abort);

  const Config& config() const { return config_; }
  Backend& backend() { return *backend_; }
  int64_t weightBytes() const { return weights_.bytes; }

  /**
   * Bidirectional passes over all canvases, packed. Throws Error aborted between layers, and io naming a
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
    CanvasOffsets canvases;
    // The rows whose final states are needed: the last layer's MLP runs for these only. Null: all.
    const int32_t* wanted = nullptr;
    int64_t wantedCount = 0;
    const int32_t* wantedValidRows = nullptr;
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

  const Config config_;
  std::unique_ptr<Backend> backend_;
  Weights weights_;
  Workspace workspace_;
  Batch batch_;
  // Host staging, kept between passes.
  std::vector<int32_t> gather_, forced_;
  Buffer<Score, Side::host> scores_;
};

}  // namespace rnd1
