// Cross entropy of the LM head with its gradients.
#include <algorithm>
#include <cmath>

#include "backend/cpu/training/cpu_training.h"

namespace rnd1::cpu {
namespace {

// Columns of the vocabulary whose statistics are added in order; a multiple of productSteps, so that sums
// along the vocabulary do not depend on how much of it is in memory.
constexpr int64_t statisticsBlock = 1024;

// Logits in memory, if all of them are that few: 8 MB.
constexpr int64_t keptLogits = int64_t{2} << 20;

static_assert(statisticsBlock % productSteps == 0);

}  // namespace

void CpuTraining::addScoredGradient(Tensor dout, Tensor x, const int32_t* rows, int64_t first, int64_t count,
                                    float* dWeight, int thread) {
  for (int64_t row = 0; row < x.rows;) {
    const auto limit = static_cast<int32_t>((rows[row] / gradientBlock + 1) * gradientBlock);
    const int64_t end = std::lower_bound(rows + row, rows + x.rows, limit) - rows;
    addWeightGradientOf(row, end, dout, x, first, count, dWeight, thread);
    row = end;
  }
}

void CpuTraining::crossEntropy(Tensor x, const Weight& head, const ScoredRows& scored, double* crossEntropies,
                               Tensor* dx, float* dHead) {
  const int64_t rows = scored.count, vocabulary = head.rows, hidden = head.columns;
  if (rows == 0) return;
  const int64_t blocks = blocksOf(vocabulary, statisticsBlock);
  const bool keeps = sizeProduct(rows, vocabulary) <= keptLogits;
  const int64_t width = keeps ? vocabulary : std::min(vocabulary, statisticsBlock);
  logits_.reserve(sizeProduct(rows, width));
  maxima_.reserve(sizeProduct(rows, blocks + 1));
  sums_.reserve(sizeProduct(rows, blocks));
  float* maxima = maxima_.data();
  float* targetLogits = maxima + rows * blocks;
  double* sums = sums_.data();
  const auto logitsOf = [&](int64_t first) {
    Weight part = head;
    part.rows = std::min(width, vocabulary - first);
    part.data += first * head.strideBytes;
    const Tensor logits(logits_.data(), rows, part.rows);
    matmul(x, {&part, 1}, logits);
    return logits;
  };

  for (int64_t first = 0; first < vocabulary; first += width) {
    const Tensor logits = logitsOf(first);
    parallel(rows, 16 * rows * logits.columns, [&](int64_t row, int) {
      for (int64_t column = 0; column < logits.columns; column += statisticsBlock) {
        const int64_t at = row * blocks + (first + column) / statisticsBlock;
        training_.exponentialSum(logits.row(row) + column, std::min(statisticsBlock, logits.columns - column),
                                 maxima + at, sums + at);
      }
      const int64_t target = scored.targets[row] - first;
      if (target >= 0 && target < logits.columns) targetLogits[row] = logits.row(row)[target];
    });
  }
  for (int64_t row = 0; row < rows; ++row) {
    float largest = maxima[row * blocks];
    for (int64_t block = 1; block < blocks; ++block)
      largest = std::max(largest, maxima[row * blocks + block]);
    double sum = 0;
    for (int64_t block = 0; block < blocks; ++block)
      sum +=
          sums[row * blocks + block] * std::exp(static_cast<double>(maxima[row * blocks + block]) - largest);
    // The first block's place holds the row's own from here on.
    maxima[row * blocks] = largest;
    sums[row * blocks] = sum;
    crossEntropies[row] =
        std::log(sum) + static_cast<double>(largest) - static_cast<double>(targetLogits[row]);
  }
  if (!dx) return;

  for (int64_t first = 0; first < vocabulary; first += width) {
    const Tensor logits = keeps ? Tensor(logits_.data(), rows, vocabulary) : logitsOf(first);
    parallel(rows, 8 * rows * logits.columns, [&](int64_t row, int) {
      float* values = logits.row(row);
      const float weight = scored.weights[row];
      training_.scaledExponentials(values, logits.columns, maxima[row * blocks],
                                   static_cast<float>(weight / sums[row * blocks]));
      const int64_t target = scored.targets[row] - first;
      if (target >= 0 && target < logits.columns) values[target] -= weight;
    });
    Weight part = head;
    part.rows = logits.columns;
    part.data += first * head.strideBytes;
    float* const none = nullptr;
    matmulBackward(x, {&part, 1}, logits, dx, first > 0, {&none, 1});
    if (!dHead) continue;
    const int64_t share = gradientPart(logits.columns);
    parallel(blocksOf(logits.columns, share), rows * hidden * logits.columns, [&](int64_t item, int thread) {
      const int64_t column = item * share;
      addScoredGradient(logits, x, scored.rows, column, std::min(share, logits.columns - column),
                        dHead + first * hidden, thread);
    });
  }
}

}  // namespace rnd1::cpu
