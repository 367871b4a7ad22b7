#pragma once

#include <memory>
#include <span>

#include "training/network.h"

namespace rnd1 {

/** Of one optimizer step. */
struct OptimizerStep {
  std::vector<double> learningRates, weightDecays;  // by parameter
  AdamStep adam;
  double maxNorm = 0;  // of all gradients together; 0: no clipping
};

struct StepOutcome {
  TrainingLosses losses;
  double gradientNorm = 0;  // before clipping
  double clipScale = 1;     // of the gradients
  bool applied = false;     // false: the norm is not finite, and nothing was changed
};

/** Trains a model: gradients of batches, and steps of AdamW. One call at a time. */
class Trainer {
 public:
  /** Throws as Parameters, and Error unsupported_model for what cannot be trained. */
  Trainer(const Architecture& architecture, std::unique_ptr<Backend> backend, const Manifest& manifest,
          const std::unordered_set<std::string>& frozen, Recompute recompute,
          const std::function<void(const LoadProgress&)>& onProgress, const AbortFlag& abort);

  const Architecture& architecture() const { return architecture_; }
  Backend& backend() { return *backend_; }
  const Parameters& parameters() const { return parameters_; }

  /**
   * The gradients of all batches together, in place of earlier ones. Their cross entropies have their final
   * weights, and the losses of routers count by the batches' numbers of rows. Throws Error aborted between
   * layers, and invalid_argument for a batch that the model cannot take.
   */
  TrainingLosses lossAndGradients(std::span<const TrainingBatch> batches, const AbortFlag& abort);

  /** Gradients, clipping, AdamW. If it throws, parameters and moments are as before. */
  StepOutcome step(std::span<const TrainingBatch> batches, const OptimizerStep& step, const AbortFlag& abort);

 private:
  double gradientNorm();

  const Architecture architecture_;
  std::unique_ptr<Backend> backend_;
  Parameters parameters_;
  Network network_;
  std::vector<AdamTensor> tensors_;
};

}  // namespace rnd1
