#pragma once

#include <memory>
#include <unordered_set>
#include <vector>

#include "model_support.h"
#include "training/trainer.h"
#include "training_support.h"

/** Shared by the tests of trainers. */
namespace rnd1::test {

inline const AbortFlag never;

inline std::unique_ptr<Trainer> open(TinyModel& tiny, std::unique_ptr<Backend> backend,
                                     const std::unordered_set<std::string>& frozen = {},
                                     Recompute recompute = Recompute::none, DType products = DType::f32) {
  return std::make_unique<Trainer>(
      tiny.architecture(), std::move(backend), products, tiny.manifest(), frozen, recompute,
      [](const LoadProgress&) {}, never);
}

/** Canvases of these lengths, about half of whose rows are scored. */
inline TrainingBatch batchOf(Noise& noise, const std::vector<int32_t>& lengths, double coefficient = 0) {
  TrainingBatch batch;
  batch.offsets = offsetsOf(lengths);
  batch.tokens = randomTokens(noise, batch.offsets.back());
  batch.mask = AttentionMask{};
  for (int32_t row = 0; row < batch.offsets.back(); ++row)
    if (noise.uniform() < 0.5) batch.rows.push_back(row);
  batch.targets = randomTokens(noise, static_cast<int64_t>(batch.rows.size()));
  for (size_t i = 0; i < batch.rows.size(); ++i)
    batch.weights.push_back(static_cast<float>(0.01 + 0.01 * noise.uniform()));
  batch.auxCoef = batch.zCoef = coefficient;
  return batch;
}

/** One array of all parameters that have it, one after another. */
inline std::vector<float> arraysOf(Trainer& trainer, ParameterArray which) {
  std::vector<float> all, values;
  for (const Parameter& parameter : trainer.parameters().list()) {
    if (parameter.frozen() && which != ParameterArray::value) continue;
    values.resize(static_cast<size_t>(parameter.count));
    trainer.read(parameter.role, which, values);
    all.insert(all.end(), values.begin(), values.end());
  }
  return all;
}

inline std::vector<float> gradientsOf(Trainer& trainer) {
  return arraysOf(trainer, ParameterArray::gradient);
}
inline std::vector<float> valuesOf(Trainer& trainer) { return arraysOf(trainer, ParameterArray::value); }

inline OptimizerStep stepOf(Trainer& trainer, double rate) {
  const size_t count = trainer.parameters().list().size();
  OptimizerStep step;
  step.learningRates.assign(count, rate);
  step.weightDecays.assign(count, 0.1);
  step.maxNorm = 1;
  return step;
}

/** A dense layer between two with experts, and three of these. */
inline std::vector<TinyOptions> shapes() {
  TinyOptions mixed;
  mixed.change = [](Architecture& architecture) {
    MlpShape& dense = architecture.layers[1].mlp;
    dense.experts = dense.expertsPerToken = 0;
  };
  return {{}, mixed};
}

}  // namespace rnd1::test
