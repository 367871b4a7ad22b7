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

/** Copies the parameters, the matrices of products rounded. */
void writeRounded(Trainer& from, Trainer& to) {
  for (const Parameter& parameter : from.parameters().list()) {
    std::vector<float> values(static_cast<size_t>(parameter.count));
    from.read(parameter.role, ParameterArray::value, values);
    if (parameter.shape.size() == 2 && !parameter.role.ends_with("router"))
      for (float& value : values) value = bf16ToFloat(floatToBf16(value));
    to.write(parameter.role, ParameterArray::value, values);
  }
}

/** With products in bf16, gradients are those at the rounded weights, and updates are not rounded. */
void roundsForProducts() {
  forEachTrainingFactory([](const BackendFactory& make) {
    for (TinyOptions options : shapes()) {
      options.dtypes = {DType::f32};
      TinyModel tiny(97, options);
      Noise noise(97);
      const std::vector<TrainingBatch> batches{batchOf(noise, {21, 8}, 0.1), batchOf(noise, {40}, 0.1)};
      const auto trainer = open(tiny, make(2), {}, Recompute::none, DType::bf16);
      const auto reference = open(tiny, make(2));
      const auto compare = [&](const char* what) {
        const Scope scope(what);
        writeRounded(*trainer, *reference);
        const TrainingLosses losses = trainer->lossAndGradients(batches, {}, never);
        const TrainingLosses expected = reference->lossAndGradients(batches, {}, never);
        expectEqual(losses.main, expected.main, "main loss");
        expectEqual(losses.aux, expected.aux, "load balance");
        expect(gradientsOf(*trainer) == gradientsOf(*reference), "gradients at other weights");
      };
      const std::vector<float> start = valuesOf(*trainer);
      expect(trainer->lossAndGradients(batches, {}, never).main !=
                 reference->lossAndGradients(batches, {}, never).main,
             "nothing is rounded");
      compare("as read");
      // Far below what bf16 can tell apart.
      trainer->step(batches, stepOf(*trainer, 1e-6), {}, never);
      const std::vector<float> moved = valuesOf(*trainer);
      size_t changed = 0;
      for (size_t i = 0; i < moved.size(); ++i) changed += moved[i] != start[i];
      expect(2 * changed > moved.size(), text(changed, " of ", moved.size(), " parameters moved"));
      trainer->step(batches, stepOf(*trainer, 1e-2), {}, never);
      compare("after steps");
      std::vector<float> other(static_cast<size_t>(trainer->parameters().find("head").count), 0.1f);
      trainer->write("head", ParameterArray::value, other);
      compare("after a parameter was written");
    }
  });
}

const DeviceTests tests{{"trainer: products in bf16 are those of rounded weights", roundsForProducts},
                        {"trainer: the same step as on the CPU", trainsAsTheCpu}};

}  // namespace
}  // namespace rnd1::test
