#pragma once

#include <memory>
#include <span>

#include "training/network.h"

namespace rnd1 {

/** Of one optimizer step. */
struct OptimizerStep {
  std::vector<double> learningRates, weightDecays;  // by parameter
  AdamStep adam;
  double maxNorm = 0;       // of all gradients together; 0: no clipping
  bool batchNorms = false;  // whether TrainingReport::squaredNorms are wanted
};

/** Milliseconds of a call, the sums over its batches. */
struct TrainingTimes {
  double forward = 0;
  double backward = 0;   // with the cross entropy
  double optimizer = 0;  // norm of the gradients, clipping and AdamW
};

struct StepOutcome {
  TrainingLosses losses;
  TrainingTimes times;
  double gradientNorm = 0;  // before clipping
  double clipScale = 1;     // of the gradients
  bool applied = false;     // false: the norm is not finite, and nothing was changed
};

/** Trains a model: gradients of batches, and steps of AdamW. One call at a time. */
class Trainer {
 public:
  /**
   * Computes in f32, with weights of products rounded to `products` (f32 or bf16). Throws as Parameters, and
   * Error unsupported_model for what cannot be trained.
   */
  Trainer(const Architecture& architecture, std::unique_ptr<Backend> backend, DType products,
          const Manifest& manifest, const std::unordered_set<std::string>& frozen, Recompute recompute,
          const std::function<void(const LoadProgress&)>& onProgress, const AbortFlag& abort);

  const Architecture& architecture() const { return architecture_; }
  Backend& backend() { return *backend_; }
  const Parameters& parameters() const { return parameters_; }

  /** Copies what is stored for a parameter. Throws invalid_argument for an unknown one or another size. */
  void read(const std::string& role, ParameterArray which, std::span<float> values);
  void write(const std::string& role, ParameterArray which, std::span<const float> values);

  /**
   * The gradients of all batches together, in place of earlier ones. Their cross entropies have their final
   * weights, and the losses of routers count by the batches' numbers of rows. Throws Error aborted between
   * layers, and invalid_argument for a batch that the model cannot take.
   */
  TrainingLosses lossAndGradients(std::span<const TrainingBatch> batches, const TrainingReport& report,
                                  const AbortFlag& abort);

  /** The same losses without gradients; earlier ones stay. */
  TrainingLosses losses(std::span<const TrainingBatch> batches, const TrainingReport& report,
                        const AbortFlag& abort);

  /** Gradients, clipping, AdamW. If it throws, parameters and moments are as before. */
  StepOutcome step(std::span<const TrainingBatch> batches, const OptimizerStep& step,
                   const TrainingReport& report, const AbortFlag& abort);

 private:
  std::span<float> arrayOf(const std::string& role, ParameterArray which, size_t size) const;
  TrainingLosses pass(std::span<const TrainingBatch> batches, bool gradients, const TrainingReport& report,
                      const AbortFlag& abort);
  /** Σ of the squared norms of all gradients, each in its place of `norms` unless that is empty. */
  double squaredNorm(std::span<double> norms);
  /** Clipping and AdamW. */
  void update(const OptimizerStep& step, StepOutcome& outcome);
  /** After a batch whose gradient is wanted alone: its norms, then the sum of all so far. */
  void keepBatch(size_t index, size_t count, std::span<double> norms);

  const Architecture architecture_;
  std::unique_ptr<Backend> backend_;
  Parameters parameters_;
  Network network_;
  std::vector<AdamTensor> tensors_;
  Buffer<float> sum_;  // of gradients, while each batch's is wanted alone
  TrainingTimes times_;
};

}  // namespace rnd1
