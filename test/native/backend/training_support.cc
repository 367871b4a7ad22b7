#include "training_support.h"

namespace rnd1::test {

void forEachTraining(const std::function<void(Backend&, TrainingOps&)>& body, int threads) {
  forEachBackend(
      [&](Backend& backend) {
        if (TrainingOps* ops = backend.training()) body(backend, *ops);
      },
      threads);
}

void forEachTrainingFactory(const std::function<void(const BackendFactory&)>& body) {
  forEachFactory([&](const BackendFactory& make) {
    if (make(1)->training()) body(make);
  });
}

std::vector<double> derivatives(std::vector<double>& values, const std::function<double()>& loss) {
  constexpr double step = 1e-4;
  std::vector<double> result(values.size());
  for (size_t i = 0; i < values.size(); ++i) {
    const double value = values[i];
    const auto at = [&](double offset) {
      values[i] = value + offset;
      return loss();
    };
    // Of fourth order.
    result[i] = (8 * (at(step) - at(-step)) - (at(2 * step) - at(-2 * step))) / (12 * step);
    values[i] = value;
  }
  return result;
}

void expectGradient(std::span<const float> actual, std::span<const double> expected, const std::string& what,
                    Location location) {
  if (!expectEqual(actual.size(), expected.size(), what + ": values", location)) return;
  double error = 0, energy = 0;
  for (size_t i = 0; i < actual.size(); ++i) {
    const double difference = actual[i] - expected[i];
    error += difference * difference;
    energy += expected[i] * expected[i];
  }
  const double bound = tolerance(DType::f32, Rounding::none);
  expect(error <= bound * energy, text(what, ": normalised error ", error / energy, ", allowed ", bound),
         location);
}

}  // namespace rnd1::test
