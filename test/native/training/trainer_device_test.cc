// Steps of every device against those of the CPU.
#include <cmath>

#include "backend/registry.h"
#include "trainer_support.h"

namespace rnd1::test {
namespace {

/** Normalised error of a whole graph in f32, of which both sides have about half. */
void expectNear(std::span<const float> actual, std::span<const float> expected, const std::string& what) {
  if (!expectEqual(actual.size(), expected.size(), what + ": values")) return;
  double error = 0, energy = 0;
  for (size_t i = 0; i < actual.size(); ++i) {
    const double difference = static_cast<double>(actual[i]) - expected[i];
    error += difference * difference;
    energy += static_cast<double>(expected[i]) * expected[i];
  }
  expect(error <= 1e-9 * energy, text(what, ": normalised error ", error / energy));
}

/** Two steps, with losses of routers, frozen parameters and rows that are not scored. */
void trainsAsTheCpu() {
  forEachTrainingFactory([](const BackendFactory& make) {
    for (const TinyOptions& options : shapes())
      for (const Recompute recompute : {Recompute::none, Recompute::layer}) {
        TinyModel tiny(98, options);
        Noise noise(98);
        const std::vector<TrainingBatch> batches{batchOf(noise, {21, 8}, 0.1), batchOf(noise, {40}, 0.1)};
        const std::unordered_set<std::string> frozen{"layers.0.attention.key"};
        const auto trainer = open(tiny, make(2), frozen, recompute);
        const auto reference = open(tiny, makeBackend("cpu", DType::f32, 2), frozen);
        // Small: AdamW divides by the gradient's own size, and so enlarges its errors.
        const OptimizerStep step = stepOf(*trainer, 1e-5);
        for (int round = 0; round < 2; ++round) {
          const StepOutcome actual = trainer->step(batches, step, {}, never);
          const StepOutcome expected = reference->step(batches, step, {}, never);
          const auto near = [&](double a, double b, const char* what) {
            expect(std::abs(a - b) < 1e-5 * (1 + std::abs(b)), text(what, " ", a, ", expected ", b));
          };
          near(actual.losses.main, expected.losses.main, "main loss");
          near(actual.losses.aux, expected.losses.aux, "load balance");
          near(actual.losses.z, expected.losses.z, "z-loss");
          near(actual.gradientNorm, expected.gradientNorm, "gradient norm");
          for (const Parameter& parameter : trainer->parameters().list()) {
            if (parameter.frozen()) continue;
            std::vector<float> mine(static_cast<size_t>(parameter.count)), theirs = mine;
            trainer->read(parameter.role, ParameterArray::gradient, mine);
            reference->read(parameter.role, ParameterArray::gradient, theirs);
            expectNear(mine, theirs, parameter.role);
          }
        }
        expectNear(valuesOf(*trainer), valuesOf(*reference), "parameters");
      }
  });
}

const DeviceTests tests{{"trainer: the same step as on the CPU", trainsAsTheCpu}};

}  // namespace
}  // namespace rnd1::test
