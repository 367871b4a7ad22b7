#pragma once

#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "backend/backend.h"
#include "core/abort.h"
#include "model/config.h"
#include "model/weights.h"
#include "model/workspace.h"

namespace rnd1 {

/** One canvas of a forward pass, and where to put what is asked for. Outputs are host memory; empty = not
 * wanted. */
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
  // Outputs, aligned with masked; `finite` false leaves the others undefined.
  std::span<Score> scores;
  std::span<uint8_t> committed;
  bool finite = true;
};

/** The model: embed → layers → final norm → logits, or score → unmask. One pass at a time. */
class Model {
 public:
  Model(const Config& config, std::unique_ptr<Backend> backend, const Manifest& manifest,
        const std::function<void(const LoadProgress&)>& onProgress, const AbortFlag& abort);

  const Config& config() const { return config_; }
  Backend& backend() { return *backend_; }
  int64_t weightBytes() const { return weights_.bytes; }

  /** Bidirectional passes over all canvases, packed. Throws Error aborted between layers. */
  void forward(std::span<ForwardCanvas> canvases, const AbortFlag& abort);

  /** Forward, score and unmask. NaN or infinity marks only its own canvas. */
  void step(std::span<StepCanvas> canvases, const AbortFlag& abort);

  /** Sizes all memory for batches up to this, so that a step allocates nothing. Called by forward and step
   * too. */
  void reserve(int64_t rows, int64_t canvases, int64_t length, int64_t scoredRows, bool filters);

 private:
  struct Capture;

  template <typename Canvas>
  int64_t pack(std::span<Canvas> canvases);
  void runLayers(int64_t rows, int64_t canvases, const AbortFlag& abort, Capture* capture);

  const Config config_;
  std::unique_ptr<Backend> backend_;
  Weights weights_;
  Workspace workspace_;
  // Host staging, kept between steps.
  std::vector<int32_t> tokens_, positions_, offsets_, gather_, forced_;
  std::vector<ScoreRow> scoreRows_;
  std::vector<SamplingPlan> plans_;
  std::vector<Score> scores_;
};

}  // namespace rnd1
