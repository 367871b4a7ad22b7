#include "training/trainer.h"

#include <algorithm>
#include <cmath>

#include "core/error.h"

namespace rnd1 {
namespace {

const Architecture& checked(const Architecture& architecture, Backend& backend) {
  architecture.validate();
  checkTrainable(architecture);
  if (!backend.training())
    throw Error(ErrorCode::unsupportedModel, "training on " + backend.device() + " in " +
                                                 dtypeName(backend.dtype()) + " is not implemented");
  return architecture;
}

}  // namespace

Trainer::Trainer(const Architecture& architecture, std::unique_ptr<Backend> backend, const Manifest& manifest,
                 const std::unordered_set<std::string>& frozen, Recompute recompute,
                 const std::function<void(const LoadProgress&)>& onProgress, const AbortFlag& abort)
    : architecture_(checked(architecture, *backend)),
      backend_(std::move(backend)),
      parameters_(architecture_, manifest, *backend_, frozen, onProgress, abort),
      network_(architecture_, *backend_, parameters_, recompute) {
  tensors_.reserve(parameters_.list().size());
}

TrainingLosses Trainer::lossAndGradients(std::span<const TrainingBatch> batches, const AbortFlag& abort) {
  double rows = 0;
  for (const TrainingBatch& batch : batches) {
    batch.validate(architecture_.vocabulary, architecture_.maxPositions);
    rows += static_cast<double>(batch.tokens.size());
  }
  backend_->training()->clear(parameters_.gradients());
  TrainingLosses losses;
  for (const TrainingBatch& batch : batches)
    network_.lossAndGradients(batch, static_cast<double>(batch.tokens.size()) / rows, losses, abort);
  return losses;
}

double Trainer::gradientNorm() {
  double squares = 0;
  for (const Parameter& parameter : parameters_.list())
    if (!parameter.frozen())
      squares += backend_->training()->squaredNorm(parameters_.array(parameter, ParameterArray::gradient));
  return std::sqrt(squares);
}

StepOutcome Trainer::step(std::span<const TrainingBatch> batches, const OptimizerStep& step,
                          const AbortFlag& abort) {
  const std::vector<Parameter>& list = parameters_.list();
  if (step.learningRates.size() != list.size() || step.weightDecays.size() != list.size())
    throw Error(ErrorCode::invalidArgument, "learningRates and weightDecays need a number for each of the " +
                                                std::to_string(list.size()) + " parameters");
  StepOutcome outcome;
  outcome.losses = lossAndGradients(batches, abort);
  outcome.gradientNorm = gradientNorm();
  abort.throwIfAborted();
  if (!std::isfinite(outcome.gradientNorm)) return outcome;
  tensors_.clear();
  for (size_t i = 0; i < list.size(); ++i) {
    if (list[i].frozen()) continue;
    const auto of = [&](ParameterArray which) { return parameters_.array(list[i], which).data(); };
    tensors_.push_back({of(ParameterArray::value), of(ParameterArray::gradient),
                        of(ParameterArray::firstMoment), of(ParameterArray::secondMoment), list[i].count,
                        step.learningRates[i], step.weightDecays[i]});
  }
  if (step.maxNorm > 0) outcome.clipScale = std::min(1.0, step.maxNorm / (outcome.gradientNorm + 1e-6));
  AdamStep adam = step.adam;
  adam.gradientScale = outcome.clipScale;
  backend_->training()->adamw(tensors_, adam);
  outcome.applied = true;
  return outcome;
}

}  // namespace rnd1
