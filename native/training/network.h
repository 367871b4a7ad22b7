#pragma once

#include <span>
#include <vector>

#include "core/abort.h"
#include "model/rotary.h"
#include "training/activations.h"
#include "training/batch.h"
#include "training/parameters.h"

namespace rnd1 {

/** Throws Error unsupported_model, naming what cannot be trained. */
void checkTrainable(const Architecture& architecture);

/** The graph of a model with its backward pass. */
class Network {
 public:
  /** All must outlive this. */
  Network(const Architecture& architecture, Backend& backend, const Parameters& parameters,
          Recompute recompute);

  /**
   * The forward pass of a batch, whose losses of routers are added to `losses`. `share`: their weight, as
   * they are means over rows; the batch's part of the rows of an optimizer step. Throws Error aborted between
   * layers.
   */
  void forward(const TrainingBatch& batch, double share, TrainingLosses& losses, const AbortFlag& abort);
  /** Adds Σ weight · cross entropy of the last forward pass to `losses`; no gradients. */
  void score(const TrainingBatch& batch, TrainingLosses& losses);
  /**
   * The same with the gradients of all losses, which are added to those of the parameters. Throws Error
   * aborted between layers; then the gradients are unspecified.
   */
  void backward(const TrainingBatch& batch, TrainingLosses& losses, const AbortFlag& abort);

  /** Of the scored rows of the last batch, in nats. */
  std::span<const double> crossEntropies() const { return crossEntropies_; }
  /** Adds the rows of the last batch that chose an expert: (layers with experts, experts). */
  void addExpertRows(std::span<double> rows) const;

 private:
  /** Sums over rows of the routing of a layer with experts. */
  struct Routing {
    std::vector<double> probabilities, chosen;  // (experts)
    double squaredLogSumExp = 0;
  };

  void reserve(const TrainingBatch& batch);
  void upload(const TrainingBatch& batch);
  /** `rows` rows of a buffer. */
  Tensor rows(const Buffer<float>& buffer, int64_t columns) const {
    return Tensor(buffer.data(), rows_, columns);
  }
  AttentionMask mask(size_t layer) const {
    return mask_ ? *mask_ : architecture_.layers[layer].attention.mask;
  }
  float attentionScale(size_t layer) const;

  // Each writes what the layer's activations hold; the MLP's result is in delta_.
  void projectQueries(size_t layer, const Tensor* delta);
  void attend(size_t layer);
  void runMlp(size_t layer);
  void runLayers(const AbortFlag& abort);
  /** Normed rows of a residual stream, in normed_. */
  Tensor normedAgain(Tensor residual, const Weight& scale);

  void mlpBackward(size_t layer);
  void attentionBackward(size_t layer);
  void layersBackward(const AbortFlag& abort);
  /** The cross entropies, with their gradients if they are wanted. */
  void crossEntropy(const TrainingBatch& batch, bool gradients, TrainingLosses& losses);
  /** Losses of routers, and their gradients' constants. */
  void routerLosses(const TrainingBatch& batch, double share, TrainingLosses& losses);

  const Architecture& architecture_;
  Backend& backend_;
  TrainingOps& ops_;
  const Parameters& parameters_;
  RotaryTables rotary_;
  std::vector<size_t> rotaryOf_;  // by layer
  Activations activations_;
  int64_t rows_ = 0;
  std::optional<AttentionMask> mask_;
  CanvasOffsets canvases_;
  ScoredRows scored_;
  std::vector<Routing> routing_;  // by layer; empty for dense ones
  bool balanced_ = false;         // whether the loss of load balance counts
  float z_ = 0;                   // of RouterLosses
  std::vector<double> crossEntropies_;
  // Scratch of `upload` and `routerLosses`, so that a step that comes again allocates nothing.
  std::vector<int32_t> hostPositions_;
  std::vector<double> pooledChosen_;
  std::vector<float> hostBalance_;

  Buffer<int32_t> tokens_, positions_, offsets_, scoredRows_, targets_;
  Buffer<float> weights_;
  Buffer<float> delta_, normed_, final_;         // (rows, hidden)
  Buffer<float> scoredNormed_, scoredGradient_;  // (scored rows, hidden)
  Buffer<float> residualGradient_;               // (rows, hidden): of the residual stream
  Buffer<float> normedGradient_;                 // (rows, hidden)
  Buffer<float> attendedGradient_, qkvGradient_;
  Buffer<float> routingGradient_, routerGradient_;  // (rows, k), (rows, experts)
  Buffer<float> sharedDelta_;                       // (rows, hidden)
  Buffer<float> balance_;                           // (layers, experts) of RouterLosses
};

}  // namespace rnd1
