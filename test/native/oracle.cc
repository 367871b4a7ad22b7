#include "oracle.h"

#include <algorithm>
#include <cmath>
#include <numeric>

namespace rnd1::test::oracle {
namespace {

double silu(double x) { return x / (1 + std::exp(-x)); }

/** One head of normRope. */
void normRopeHead(double* head, std::span<const float> scale, double epsilon, const float* angles,
                  int64_t headDim, int64_t rotated) {
  if (!scale.empty()) {
    double squares = 0;
    for (int64_t i = 0; i < headDim; ++i) squares += head[i] * head[i];
    const double factor = 1 / std::sqrt(squares / static_cast<double>(headDim) + epsilon);
    for (int64_t i = 0; i < headDim; ++i) head[i] *= factor * scale[static_cast<size_t>(i)];
  }
  const int64_t half = rotated / 2;
  for (int64_t i = 0; i < half; ++i) {
    const double low = head[i], high = head[i + half];
    const double cosine = angles[i];
    const double sine = angles[half + i];
    head[i] = low * cosine - high * sine;
    head[i + half] = high * cosine + low * sine;
  }
}

}  // namespace

DoubleMatrix matmul(const DoubleMatrix& x, const Matrix& weight) {
  DoubleMatrix out(x.rows, weight.rows);
  for (int64_t row = 0; row < x.rows; ++row)
    for (int64_t column = 0; column < weight.rows; ++column) {
      double sum = 0;
      for (int64_t k = 0; k < x.columns; ++k) sum += x.at(row, k) * weight.at(column, k);
      out.at(row, column) = sum;
    }
  return out;
}

DoubleMatrix rmsNorm(const DoubleMatrix& x, std::span<const float> scale, double epsilon) {
  DoubleMatrix out(x.rows, x.columns);
  for (int64_t row = 0; row < x.rows; ++row) {
    double squares = 0;
    for (int64_t k = 0; k < x.columns; ++k) squares += x.at(row, k) * x.at(row, k);
    const double factor = 1 / std::sqrt(squares / static_cast<double>(x.columns) + epsilon);
    for (int64_t k = 0; k < x.columns; ++k)
      out.at(row, k) = x.at(row, k) * factor * scale[static_cast<size_t>(k)];
  }
  return out;
}

Matrix rotary(int64_t positions, int64_t columns, double theta) {
  Matrix table(positions, columns);
  const int64_t half = columns / 2;
  for (int64_t position = 0; position < positions; ++position)
    for (int64_t i = 0; i < half; ++i) {
      const double exponent = -2.0 * static_cast<double>(i) / static_cast<double>(columns);
      const double angle = static_cast<double>(position) * std::pow(theta, exponent);
      table.at(position, i) = static_cast<float>(std::cos(angle));
      table.at(position, half + i) = static_cast<float>(std::sin(angle));
    }
  return table;
}

DoubleMatrix normRope(const DoubleMatrix& qkv, const HeadLayout& layout, const HeadNorms& norms,
                      std::span<const int32_t> positions, const Matrix& rotary) {
  DoubleMatrix out = qkv;
  for (int64_t row = 0; row < qkv.rows; ++row) {
    for (size_t column = 0; column < norms.bias.size(); ++column) out.row(row)[column] += norms.bias[column];
    const float* angles = rotary.row(positions[static_cast<size_t>(row)]);
    for (int64_t head = 0; head < layout.heads + layout.keyValueHeads; ++head) {
      normRopeHead(out.row(row) + head * layout.headDim,
                   head < layout.heads ? norms.queryNorm : norms.keyNorm, norms.epsilon, angles,
                   layout.headDim, rotary.columns);
    }
  }
  return out;
}

Attention attention(const DoubleMatrix& query, const DoubleMatrix& key, const DoubleMatrix& value,
                    const HeadLayout& layout, std::span<const int32_t> queryOffsets,
                    std::span<const int32_t> keyOffsets, std::span<const int32_t> positions, double scale,
                    int32_t maskBlock) {
  Attention result{DoubleMatrix(query.rows, layout.queryColumns()), DoubleMatrix(query.rows, layout.heads)};
  const int64_t group = layout.heads / layout.keyValueHeads;
  for (size_t canvas = 0; canvas + 1 < queryOffsets.size(); ++canvas)
    for (int64_t row = queryOffsets[canvas]; row < queryOffsets[canvas + 1]; ++row)
      for (int64_t head = 0; head < layout.heads; ++head) {
        const int64_t queryColumn = head * layout.headDim;
        const int64_t keyColumn = head / group * layout.headDim;
        std::vector<double> scores;
        const int64_t position = positions[static_cast<size_t>(row)];
        for (int64_t other = keyOffsets[canvas]; other < keyOffsets[canvas + 1]; ++other) {
          if (maskBlock > 0 && (other - keyOffsets[canvas]) / maskBlock > position / maskBlock) break;
          double product = 0;
          for (int64_t d = 0; d < layout.headDim; ++d)
            product += query.at(row, queryColumn + d) * key.at(other, keyColumn + d);
          scores.push_back(product * scale);
        }
        const double maximum = *std::max_element(scores.begin(), scores.end());
        double sum = 0;
        for (double& score : scores) sum += score = std::exp(score - maximum);
        for (size_t j = 0; j < scores.size(); ++j)
          for (int64_t d = 0; d < layout.headDim; ++d)
            result.out.at(row, queryColumn + d) +=
                scores[j] / sum * value.at(keyOffsets[canvas] + static_cast<int64_t>(j), keyColumn + d);
        result.logSumExp.at(row, head) = maximum + std::log(sum);
      }
  return result;
}

std::vector<int32_t> descending(std::span<const double> values) {
  std::vector<int32_t> order(values.size());
  std::iota(order.begin(), order.end(), 0);
  std::stable_sort(order.begin(), order.end(), [&](int32_t a, int32_t b) {
    return values[static_cast<size_t>(a)] > values[static_cast<size_t>(b)];
  });
  return order;
}

void normalise(std::vector<double>& logits) {
  const double maximum = *std::max_element(logits.begin(), logits.end());
  double sum = 0;
  for (const double logit : logits) sum += std::exp(logit - maximum);
  for (double& logit : logits) logit = logit - maximum - std::log(sum);
}
DoubleMatrix softmax(const DoubleMatrix& logits) {
  DoubleMatrix out(logits.rows, logits.columns);
  for (int64_t row = 0; row < logits.rows; ++row) {
    std::vector<double> values(logits.row(row), logits.row(row) + logits.columns);
    normalise(values);
    std::transform(values.begin(), values.end(), out.row(row), [](double value) { return std::exp(value); });
  }
  return out;
}

std::vector<double> mlp(const double* x, const Expert& expert) {
  const auto product = [&](const Matrix& weight, int64_t column) {
    double sum = 0;
    for (int64_t k = 0; k < weight.columns; ++k) sum += x[k] * weight.at(column, k);
    return sum;
  };
  std::vector<double> activated;
  for (int64_t column = 0; column < expert.gate.rows; ++column)
    activated.push_back(silu(product(expert.gate, column)) * product(expert.up, column));
  std::vector<double> out;
  for (int64_t column = 0; column < expert.down.rows; ++column) {
    double sum = 0;
    for (int64_t k = 0; k < expert.down.columns; ++k)
      sum += activated[static_cast<size_t>(k)] * expert.down.at(column, k);
    out.push_back(sum);
  }
  return out;
}

}  // namespace rnd1::test::oracle
