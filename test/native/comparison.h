#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "core/dtype.h"
#include "harness.h"

/**
 * Matrices, and how near to float64 a result must come. Tolerances of the native tests stand here and nowhere
 * else.
 */
namespace rnd1::test {

/** Row-major and dense. */
template <typename T>
struct Grid {
  int64_t rows = 0;
  int64_t columns = 0;
  std::vector<T> values;

  Grid() = default;
  /** Widens silently, narrows when asked to. */
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
 * The largest normalised mean squared error against float64, of any row. Where the result passes through an
 * exponential, its argument's size is the condition: f32 knows an argument of 500 to 500 · 2⁻²⁴ only.
 */
constexpr double tolerance(DType computeDtype, Rounding rounding, double exponent = 0) {
  const double base = computeDtype == DType::f32 || rounding == Rounding::none ? 1e-11 : 5e-5;
  const double conditioned = exponent * 0x1p-23 * exponent * 0x1p-23;
  return conditioned > base ? conditioned : base;
}

/** Where activations are rounded to bytes on the way: now and then one falls to the other side of a half. */
constexpr double requantizedTolerance = 1e-6;

/** The same for the logits and hidden states of a whole model, with the same routing. */
constexpr double modelTolerance(DType computeDtype) { return computeDtype == DType::f32 ? 1e-10 : 5e-3; }

/** Two candidates closer than this, in nats, may change places between f32 and float64. */
constexpr double decisionSlack = 2e-5;

/** Mean squares below this count as this: 10⁻⁶ is nothing beside activations, log-probabilities and
 * entropies. */
constexpr double minEnergy = 1e-12;

/**
 * NMSE of every row within the bound. A row whose own energy is below the average counts as average: a result
 * that cancels to nearly nothing is no worse for it.
 */
void expectClose(const Matrix& actual, const DoubleMatrix& expected, double bound, const std::string& what,
                 Location location = Location::current());

/** The same bits, row by row. */
void expectSameBits(std::span<const float> actual, std::span<const float> expected, const std::string& what,
                    Location location = Location::current());

/** Every value is one that the dtype can hold. */
void expectRounded(const Matrix& values, DType computeDtype, const std::string& what,
                   Location location = Location::current());

}  // namespace rnd1::test
