#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "core/dtype.h"
#include "harness.h"

/** Matrices, and the tolerances against float64. All tolerances of the native tests are here. */
namespace rnd1::test {

/** Row-major and dense. */
template <typename T>
struct Grid {
  int64_t rows = 0;
  int64_t columns = 0;
  std::vector<T> values;

  Grid() = default;
  /** Widens implicitly, narrows explicitly. */
  template <typename U>
  explicit(sizeof(U) > sizeof(T)) Grid(const Grid<U>& other)
      : rows(other.rows), columns(other.columns), values(other.values.begin(), other.values.end()) {}
  Grid(int64_t rows, int64_t columns)
      : rows(rows), columns(columns), values(static_cast<size_t>(rows * columns)) {}
  T* row(int64_t index) { return values.data() + index * columns; }
  const T* row(int64_t index) const { return values.data() + index * columns; }
  T& at(int64_t row, int64_t column) { return values[static_cast<size_t>(row * columns + column)]; }
  const T& at(int64_t row, int64_t column) const {
    return values[static_cast<size_t>(row * columns + column)];
  }
};

using Matrix = Grid<float>;
using DoubleMatrix = Grid<double>;

/** Whether an op rounds between its inputs and its result, or accumulates in f32 all the way. */
enum class Rounding { none, inside };

/**
 * The largest normalised mean squared error against float64, of any row. For a result of an exponential, it
 * depends on the size of the argument: f32 represents an argument of 500 to 500 · 2⁻²⁴ only.
 */
constexpr double tolerance(DType computeDtype, Rounding rounding, double exponent = 0) {
  const double base = computeDtype == DType::f32 || rounding == Rounding::none ? 1e-11 : 5e-5;
  const double conditioned = exponent * 0x1p-23 * exponent * 0x1p-23;
  return conditioned > base ? conditioned : base;
}

/** For activations quantized in between: occasionally one rounds to the other neighbour. */
constexpr double requantizedTolerance = 1e-6;

/** The same for the logits and hidden states of a whole model, with the same routing. */
constexpr double modelTolerance(DType computeDtype) { return computeDtype == DType::f32 ? 1e-10 : 5e-3; }

/** Two candidates closer than this, in nats, may be swapped between f32 and float64. */
constexpr double decisionSlack = 2e-5;

/** Mean squares below this count as this: 10⁻⁶ is negligible for activations, log-probabilities and
 * entropies. */
constexpr double minEnergy = 1e-12;

/**
 * NMSE of every row within the bound. A row with less than average energy counts as average, so that results
 * which nearly cancel are not penalised.
 */
void expectClose(const Matrix& actual, const DoubleMatrix& expected, double bound, const std::string& what,
                 Location location = Location::current());

/** The same bits, row by row. */
void expectSameBits(std::span<const float> actual, std::span<const float> expected, const std::string& what,
                    Location location = Location::current());

/** Every value is representable in the dtype. */
void expectRounded(const Matrix& values, DType computeDtype, const std::string& what,
                   Location location = Location::current());

}  // namespace rnd1::test
