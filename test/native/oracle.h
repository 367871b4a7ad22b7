#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "backend/backend.h"
#include "comparison.h"

/**
 * References of all ops, as plain loops in float64. Inputs are those of the op: already rounded to the
 * compute dtype.
 */
namespace rnd1::test::oracle {

/** x · weightᵀ */
DoubleMatrix matmul(const DoubleMatrix& x, const Matrix& weight);

/** x / sqrt(mean(x²) + ε) · scale */
DoubleMatrix rmsNorm(const DoubleMatrix& x, std::span<const float> scale, double epsilon);

/** Cosines and sines of every position, (positions, columns), for `normRope`. */
Matrix rotary(int64_t positions, int64_t columns, double theta);

/** Weights of `normRope`; empty ones are not applied. */
struct HeadNorms {
  std::vector<float> bias, queryNorm, keyNorm;
  double epsilon = 0;
};

/** qkv with bias, normed and rotated queries and keys. */
DoubleMatrix normRope(const DoubleMatrix& qkv, const HeadLayout& layout, const HeadNorms& norms,
                      std::span<const int32_t> positions, const Matrix& rotary);

struct Attention {
  DoubleMatrix out;        // (query rows, heads · headDim)
  DoubleMatrix logSumExp;  // (query rows, heads)
};
Attention attention(const DoubleMatrix& query, const DoubleMatrix& key, const DoubleMatrix& value,
                    const HeadLayout& layout, std::span<const int32_t> queryOffsets,
                    std::span<const int32_t> keyOffsets, std::span<const int32_t> positions, double scale,
                    int32_t maskBlock = 0);

/** Ids by value, largest first; ties: lowest id. */
std::vector<int32_t> descending(std::span<const double> values);

/** log-softmax, in place; −∞ stays −∞. */
void normalise(std::vector<double>& logits);

/** softmax of every row. */
DoubleMatrix softmax(const DoubleMatrix& logits);

struct Expert {
  Matrix gate, up, down;
};

/** down(silu(gate · x) ∘ (up · x)) of one row. */
std::vector<double> mlp(const double* x, const Expert& expert);

/** Log-probabilities after bans, temperature and filters; −∞ for removed tokens. */
std::vector<double> filteredLogProbabilities(std::span<const float> logits, const SamplingPlan& plan);

struct Score {
  std::vector<double> logProbabilities;
  std::vector<double> keys;  // the predicted token has the largest key
  // Of every token, if it were the prediction.
  std::vector<double> confidences;
  int32_t token = 0;
  double entropy = 0;
  double margin = 0;
};
Score score(std::span<const float> logits, const SamplingPlan& plan, int32_t position);

/** The committed bytes of `Backend::unmask`. */
std::vector<uint8_t> unmask(std::span<const ScoreRow> rows, std::span<const rnd1::Score> scores,
                            std::span<const uint8_t> eligible, const UnmaskPlan& plan);

}  // namespace rnd1::test::oracle
