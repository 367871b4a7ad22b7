#include "training/trainer.h"

#include <algorithm>
#include <chrono>
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

/** Adds the milliseconds from its construction to a sum. */
class Stopwatch {
 public:
  explicit Stopwatch(double& sum) : sum_(sum) {}
  void stop() const {
    sum_ += std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - start_).count();
  }

 private:
  double& sum_;
  const std::chrono::steady_clock::time_point start_ = std::chrono::steady_clock::now();
};

}  // namespace

Trainer::Trainer(const Architecture& architecture, std::unique_ptr<Backend> backend, DType products,
                 const Manifest& manifest, const std::unordered_set<std::string>& frozen, Recompute recompute,
                 const std::function<void(const LoadProgress&)>& onProgress, const AbortFlag& abort)
    : architecture_(checked(architecture, *backend)),
      backend_(std::move(backend)),
      parameters_(architecture_, manifest, *backend_, products, frozen, onProgress, abort),
      network_(architecture_, *backend_, parameters_, recompute),
      sum_(*backend_) {
  tensors_.reserve(parameters_.list().size());
}

std::span<float> Trainer::arrayOf(const std::string& role, ParameterArray which, size_t size) const {
  const std::span<float> array = parameters_.array(parameters_.find(role), which);
  if (array.size() != size)
    throw Error(ErrorCode::invalidArgument, "parameter '" + role + "' has " + std::to_string(array.size()) +
                                                " elements, not " + std::to_string(size));
  return array;
}

void Trainer::read(const std::string& role, ParameterArray which, std::span<float> values) {
  const std::span<float> source = arrayOf(role, which, values.size());
  backend_->download(values.data(), source.data(), source.size_bytes());
  backend_->synchronize();
}

void Trainer::write(const std::string& role, ParameterArray which, std::span<const float> values) {
  const std::span<float> target = arrayOf(role, which, values.size());
  backend_->upload(target.data(), values.data(), target.size_bytes());
  if (which == ParameterArray::value) parameters_.changed();
}

TrainingLosses Trainer::lossAndGradients(std::span<const TrainingBatch> batches, const TrainingReport& report,
                                         const AbortFlag& abort) {
  return pass(batches, true, report, abort);
}

TrainingLosses Trainer::losses(std::span<const TrainingBatch> batches, const TrainingReport& report,
                               const AbortFlag& abort) {
  return pass(batches, false, report, abort);
}

TrainingLosses Trainer::pass(std::span<const TrainingBatch> batches, bool gradients,
                             const TrainingReport& report, const AbortFlag& abort) {
  double rows = 0;
  for (const TrainingBatch& batch : batches) {
    batch.validate(architecture_.vocabulary, architecture_.maxPositions);
    rows += static_cast<double>(batch.tokens.size());
  }
  parameters_.refresh();
  if (gradients) backend_->training()->clear(parameters_.gradients());
  times_ = {};
  TrainingLosses losses;
  size_t scored = 0;
  for (size_t index = 0; index < batches.size(); ++index) {
    const TrainingBatch& batch = batches[index];
    const Stopwatch forward(times_.forward);
    network_.forward(batch, static_cast<double>(batch.tokens.size()) / rows, losses, abort);
    forward.stop();
    const Stopwatch backward(times_.backward);
    if (gradients)
      network_.backward(batch, losses, abort);
    else
      network_.score(batch, losses);
    if (!report.squaredNorms.empty()) keepBatch(index, batches.size(), report.squaredNorms);
    backward.stop();
    if (!report.expertRows.empty()) network_.addExpertRows(report.expertRows);
    if (report.crossEntropies.empty()) continue;
    const std::span<const double> found = network_.crossEntropies();
    std::copy(found.begin(), found.end(), report.crossEntropies.begin() + static_cast<ptrdiff_t>(scored));
    scored += found.size();
  }
  return losses;
}

void Trainer::keepBatch(size_t index, size_t count, std::span<double> norms) {
  const std::span<float> gradients = parameters_.gradients();
  const size_t parameters = parameters_.list().size();
  TrainingOps& ops = *backend_->training();
  squaredNorm(norms.subspan(index * parameters, parameters));
  if (count == 1) return;
  sum_.reserve(static_cast<int64_t>(gradients.size()));
  const std::span<float> sum(sum_.data(), gradients.size());
  if (index + 1 == count) return ops.accumulate(sum, gradients);
  if (index == 0) ops.clear(sum);
  ops.accumulate(gradients, sum);
  ops.clear(gradients);
}

double Trainer::squaredNorm(std::span<double> norms) {
  double squares = 0;
  const std::vector<Parameter>& list = parameters_.list();
  for (size_t i = 0; i < list.size(); ++i) {
    const double square =
        list[i].frozen()
            ? 0
            : backend_->training()->squaredNorm(parameters_.array(list[i], ParameterArray::gradient));
    if (!norms.empty()) norms[i] = square;
    squares += square;
  }
  return squares;
}

StepOutcome Trainer::step(std::span<const TrainingBatch> batches, const OptimizerStep& step,
                          const TrainingReport& report, const AbortFlag& abort) {
  const std::vector<Parameter>& list = parameters_.list();
  if (step.learningRates.size() != list.size() || step.weightDecays.size() != list.size())
    throw Error(ErrorCode::invalidArgument, "learningRates and weightDecays need a number for each of the " +
                                                std::to_string(list.size()) + " parameters");
  StepOutcome outcome;
  outcome.losses = pass(batches, true, report, abort);
  const Stopwatch optimizer(times_.optimizer);
  const std::span<double> norms = report.squaredNorms;
  outcome.gradientNorm = std::sqrt(squaredNorm(norms.empty() ? norms : norms.last(list.size())));
  abort.throwIfAborted();
  if (std::isfinite(outcome.gradientNorm)) update(step, outcome);
  optimizer.stop();
  outcome.times = times_;
  return outcome;
}

void Trainer::update(const OptimizerStep& step, StepOutcome& outcome) {
  const std::vector<Parameter>& list = parameters_.list();
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
  parameters_.changed();
  outcome.applied = true;
}

}  // namespace rnd1
