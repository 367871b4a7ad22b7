// The double-f32 exponential, against float64.
#include "backend/cuda/device/exponential.h"

#include "backends.h"

namespace rnd1::test {
namespace {

constexpr float infinity = std::numeric_limits<float>::infinity();

/** Error of exp(z − maximum), relative to the claimed bound. */
double errorOf(float z, float maximum) {
  const double difference = static_cast<double>(z) - static_cast<double>(maximum);
  const double exact = std::exp(difference);
  const double actual = cuda::exponential(cuda::exactDifference(z, maximum)).value();
  return std::abs(actual - exact) / std::max(exact * 0x1p-36, 0x1p-148);
}

void expectWithin(double worst, const char* what) {
  expect(worst <= 1, text(what, ": ", worst, " times what is claimed"));
}

void wholeRange() {
  Noise noise(61);
  double worst = 0;
  // Differences of all sizes, from maxima that make them inexact, and from 0, which does not.
  for (int i = 0; i < 400'000; ++i) {
    const auto far = static_cast<float>(-110 * noise.uniform());
    const auto near = static_cast<float>(-std::exp2(-40 * noise.uniform()));
    const float maximum = 12 * noise.normal();
    for (const float difference : {far, near}) {
      worst = std::max(worst, errorOf(difference, 0));
      worst = std::max(worst, errorOf(std::min(maximum + difference, maximum), maximum));
    }
  }
  expectWithin(worst, "random differences");
  worst = 0;
  // Boundaries between powers of two.
  for (int k = 0; k <= 150; ++k) {
    auto border = static_cast<float>(-(k + 0.5) * M_LN2);
    for (int i = 0; i < 50; ++i, border = std::nextafter(border, 0.0f))
      worst = std::max(worst, errorOf(border, 0));
  }
  expectWithin(worst, "borders of the reduction");
}

void ends() {
  const auto exponential = [](float z, float maximum) {
    return cuda::exponential(cuda::exactDifference(z, maximum));
  };
  for (const float z : {0.0f, -3.75f, 1e30f, std::numeric_limits<float>::denorm_min()}) {
    const cuda::TwoFloats one = exponential(z, z);
    expect(one.high == 1 && one.low == 0, text("exp(", z, " − ", z, ") is not 1"));
  }
  const float largest = std::numeric_limits<float>::max();
  const std::pair<float, float> far[] = {{-infinity, 3}, {-104.5f, 0}, {-largest, largest}, {0, largest}};
  for (const auto& [z, maximum] : far) {
    const cuda::TwoFloats nothing = exponential(z, maximum);
    expect(nothing.high == 0 && nothing.low == 0, text("exp(", z, " − ", maximum, ") is not 0"));
  }
  expect(exponential(-100, 0).high > 0, "denormal results are lost");
}

void sums() {
  Noise noise(62);
  cuda::TwoFloats sum;
  long double exact = 0;
  for (int i = 0; i < 100'000; ++i) {
    const auto value = static_cast<float>(std::exp(-20 * noise.uniform()));
    sum = cuda::plus(sum, {value, 0});
    exact += value;
  }
  expect(std::abs(static_cast<double>(sum.value() - exact)) < 0x1p-40 * static_cast<double>(exact),
         text("a sum is ", sum.value(), ", expected ", static_cast<double>(exact)));
  double worst = 0;
  for (int i = 0; i < 100'000; ++i) {
    const cuda::TwoFloats a = cuda::twoFloats(noise.uniform()),
                          b = cuda::twoFloats(1 / (1 + noise.uniform()));
    worst = std::max(worst, std::abs(cuda::times(a, b).value() / (a.value() * b.value()) - 1));
  }
  expect(worst < 0x1p-44, text("products are off by ", worst));
}

const Tests exponentialTests{
    {"exponential: two floats give float64's to 2⁻³⁶, wherever the difference lies", wholeRange},
    {"exponential: 1 at 0, 0 far away, never NaN", ends},
    {"exponential: sums and products of two floats", sums},
};

}  // namespace
}  // namespace rnd1::test
