// Models whose attention and head have other weights than their experts.
#include "backend/registry.h"
#include "model_support.h"

namespace rnd1::test {
namespace {

bool inEightBits(const std::string& role) {
  return role == "head" || (role.find(".attention.") != std::string::npos && !role.ends_with("norm") &&
                            !role.ends_with("Norm"));
}

Matrix logitsOf(const TinyModel& tiny, const Manifest& manifest, std::unique_ptr<Backend> backend) {
  const AbortFlag never;
  Model model(
      tiny.architecture(), std::move(backend), manifest, [](const LoadProgress&) {}, never);
  Noise noise(92);
  return forward(model, {randomTokens(noise, 23)})[0].logits;
}

/** Σ (difference)² / Σ (exact)² */
double distanceOf(const Matrix& actual, const Matrix& exact) {
  double error = 0, power = 0;
  for (size_t i = 0; i < exact.values.size(); ++i) {
    const double value = exact.values[i];
    error += (actual.values[i] - value) * (actual.values[i] - value);
    power += value * value;
  }
  return error / power;
}

void betweenBoth() {
  TinyModel tiny(92);
  const Manifest exact = tiny.manifest();
  const Matrix reference = logitsOf(tiny, exact, makeCpuBackend(DType::f32, 1));
  Manifest fine = exact, coarse = exact, five = exact;
  fine.quantize = Quantization{DType::q8, 64};
  coarse.quantize = Quantization{DType::q4, 64};
  five.quantize = Quantization{DType::q5, 64};
  Manifest mixed = coarse, mixedFive = five;
  for (Manifest* manifest : {&mixed, &mixedFive})
    for (auto& [role, location] : manifest->tensors)
      if (inEightBits(role)) location.quantize = fine.quantize;
  forEachFactory([&](const BackendFactory& make) {
    const auto distance = [&](const Manifest& manifest) {
      return distanceOf(logitsOf(tiny, manifest, make(2)), reference);
    };
    const double q8 = distance(fine), q5 = distance(five), q4 = distance(coarse);
    const double bothFive = distance(mixedFive), both = distance(mixed);
    expect(2 * q8 < both && 2 * both < q4, text("NMSE ", q8, " of q8, ", both, " mixed, ", q4, " of q4"));
    expect(q8 < bothFive && 2 * bothFive < q5 && 2 * q5 < q4,
           text("NMSE ", q8, " of q8, ", bothFive, " mixed, ", q5, " of q5, ", q4, " of q4"));
  });
}

const DeviceTests mixedWeightsTests{
    {"model: attention and head in q8, experts in q4 or q5, are between both", betweenBoth},
};

}  // namespace
}  // namespace rnd1::test
