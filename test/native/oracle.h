#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "backend/backend.h"
#include "core/dtype.h"
#include "harness.h"

/**
 * What every verb computes, as plain loops in float64. Inputs are the values that the verb really sees:
 * already rounded to the arithmetic. Tolerances of the native tests stand here and nowhere else.
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

/** Whether a verb rounds between its inputs and its result, or accumulates in f32 all the way. */
enum class Rounding { none, inside };

/**
 * The largest normalised mean squared error against float64, of any row. Where the result passes through an
 * exponential, its argument's size is the condition: f32 knows an argument of 500 to 500 · 2⁻²⁴ only.
 */
constexpr double tolerance(DType arithmetic, Rounding rounding, double exponent = 0) {
  const double base = arithmetic == DType::f32 || rounding == Rounding::none ? 1e-11 : 5e-5;
  const double conditioned = exponent * 0x1p-23 * exponent * 0x1p-23;
  return conditioned > base ? conditioned : base;
}

/** The same for the logits and hidden states of a whole model, with the same routing. */
constexpr double modelTolerance(DType arithmetic) { return arithmetic == DType::f32 ? 1e-10 : 5e-3; }

/** Two candidates closer than this, in nats, may change places between f32 and float64. */
constexpr double decisionSlack = 2e-5;

/** Mean squares below this count as this: 10⁻⁶ is nothing beside activations, log-probabilities and
 * entropies. */
constexpr double leastEnergy = 1e-12;

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
void expectRounded(const Matrix& values, DType arithmetic, const std::string& what,
                   Location location = Location::current());

namespace oracle {

/** x · weightᵀ */
DoubleMatrix matmul(const DoubleMatrix& x, const Matrix& weight);

/** x / sqrt(mean(x²) + ε) · scale */
DoubleMatrix rmsNorm(const DoubleMatrix& x, std::span<const float> scale, double epsilon);

/** cosines and sines of every position: (positions, headDim) as `normRope` takes them. */
Matrix rotary(int64_t positions, int64_t headDim, double theta);

/** qkv with normed and rotated queries and keys. */
DoubleMatrix normRope(const DoubleMatrix& qkv, const HeadLayout& layout, std::span<const float> queryNorm,
                      std::span<const float> keyNorm, double epsilon, std::span<const int32_t> positions,
                      const Matrix& rotary);

struct Attention {
  DoubleMatrix out;        // (query rows, heads · headDim)
  DoubleMatrix logSumExp;  // (query rows, heads)
};
Attention attention(const DoubleMatrix& query, const DoubleMatrix& key, const DoubleMatrix& value,
                    const HeadLayout& layout, std::span<const int32_t> queryOffsets,
                    std::span<const int32_t> keyOffsets, double scale);

/** softmax of every row. */
DoubleMatrix softmax(const DoubleMatrix& logits);

struct Expert {
  Matrix gate, up, down;
};

/** down(silu(gate · x) ∘ (up · x)) of one row. */
std::vector<double> mlp(const double* x, const Expert& expert);

/** Log-probabilities after bans, temperature, top-k and top-p; −∞ for what was removed. */
std::vector<double> filteredLogProbabilities(std::span<const float> logits, const SamplingPlan& plan);

struct Score {
  std::vector<double> logProbabilities;
  std::vector<double> keys;  // what the predicted token has the largest of
  int32_t token = 0;
  double entropy = 0;
  double margin = 0;
};
Score score(std::span<const float> logits, const SamplingPlan& plan, int32_t position);

/** The committed bytes of `Backend::unmask`. */
std::vector<uint8_t> unmask(std::span<const ScoreRow> rows, std::span<const rnd1::Score> scores,
                            std::span<const uint8_t> eligible, const UnmaskPlan& plan);

}  // namespace oracle
}  // namespace rnd1::test
