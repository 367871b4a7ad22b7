#pragma once

#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "backend/backend.h"
#include "core/abort.h"
#include "model/batch.h"
#include "model/blocks.h"
#include "model/key_value_cache.h"

namespace rnd1 {

/** One canvas of a forward pass and its outputs, in host memory; an empty span is not computed. */
struct ForwardCanvas {
  std::span<const int32_t> tokens;
  std::span<const int32_t> rows;           // the positions to return, R of them; computed ones
  std::span<const int32_t> forcedExperts;  // (layers with experts, tokens, k), or empty
  std::span<float> logits;                 // (R, vocabulary)
  std::span<float> hidden;                 // (layers + 2, R, hidden)
  std::span<float> routerLogits;           // (layers with experts, R, experts)
  std::span<int32_t> expertIds;            // (layers with experts, R, k)
  std::span<float> expertWeights;          // (layers with experts, R, k)
  std::optional<AttentionMask> mask;       // instead of the layers' own; the same for all canvases of a pass
  CachedRows cached = {};                  // not with forcedExperts
};

/** One canvas of a step. */
struct StepCanvas {
  std::span<const int32_t> tokens;
  std::span<const int32_t> masked;    // the positions to score, ascending
  std::span<const uint8_t> eligible;  // an Eligibility each, aligned with masked
  SamplingPlan sampling;
  UnmaskPlan unmask;
  std::span<Score> scores;  // output, aligned with masked
  bool finite = true;       // output; false: the scores are invalid
  // As long as `tokens`: the canvas whose logits are the `unconditional` ones of Ops::scoreGuided. Empty: no
  // guidance.
  std::span<const int32_t> unconditional = {};
  std::optional<int32_t> shift = {};  // instead of the architecture's; position 0 is predicted
  CachedRows cached = {};             // with the rows that predict the masked positions

  Prediction prediction(const Architecture& architecture) const {
    return shift ? Prediction{*shift, false} : architecture.prediction;
  }
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
   * mapped file that changed: then the results are invalid. A cache holds what a pass has computed if the
   * pass ends; otherwise nothing at these positions. Throws invalid_argument for two canvases with one cache.
   */
  void forward(std::span<ForwardCanvas> canvases, const AbortFlag& abort);

  /**
   * Forward, score and unmask. NaN or infinity marks only its own canvas. Throws as `forward`. `mask`:
   * instead of the layers' own.
   */
  void step(std::span<StepCanvas> canvases, const AbortFlag& abort, std::optional<AttentionMask> mask = {});

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
    const AttentionMask* mask = nullptr;  // instead of the layers' own
    // The rows whose final states are needed: the last layer's MLP runs for these only. No rows: all.
    RowSelection wanted;
  };

  /** Checks the caches of a pass, and discards what they hold of the positions that it computes. Returns
   * whether there are any. */
  template <typename Canvas>
  bool openCaches(std::span<Canvas> canvases, const AttentionMask* mask) const;
  /** After a pass: its caches hold what it has computed. */
  template <typename Canvas>
  static void closeCaches(std::span<Canvas> canvases);
  template <typename Canvas>
  Rows pack(std::span<Canvas> canvases, const BatchShape& shape);
  /** Returns the normed final states of all rows, or of the wanted ones. */
  Tensor runLayers(const Rows& rows, const AbortFlag& abort, const Capture* capture);
  /** Computes the logits that canvases of a forward pass request. */
  void fetchLogits(Tensor normed, std::span<const ForwardCanvas> canvases, const AbortFlag& abort);
  /** Lists the sequences of a step: its canvases, then the unconditional ones of those that have one. */
  void listSequences(std::span<const StepCanvas> canvases);
  /** Lists the rows to score, by ScoreRegion. */
  void packScores(size_t canvases, const BatchShape& shape);
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
  std::vector<StepCanvas> sequences_;
  Buffer<Score, Side::host> hostScores_;
};

}  // namespace rnd1
