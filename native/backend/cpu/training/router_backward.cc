// Gradients of softmax routers: through the routing weights, and of their losses.
#include <algorithm>
#include <cmath>

#include "backend/cpu/training/cpu_training.h"
#include "core/error.h"

namespace rnd1::cpu {

void CpuTraining::routerSums(const Dispatch& dispatch, RouterSums& sums) {
  const int64_t experts = dispatch.experts, k = dispatch.expertsPerToken, stride = experts + 1;
  const int64_t blocks = blocksOf(dispatch.rows, normBlock);
  partialDoubles_.reserve(sizeProduct(blocks, stride));
  partial_.reserve(sizeProduct(blocks, experts));
  parallel(blocks, 32 * dispatch.rows * experts, [&](int64_t block, int) {
    double* total = partialDoubles_.data() + block * stride;
    float* probabilities = partial_.data() + block * experts;
    std::fill_n(total, stride, 0.0);
    const int64_t end = std::min(dispatch.rows, (block + 1) * normBlock);
    for (int64_t row = block * normBlock; row < end; ++row) {
      const float* logits = dispatch.routerLogits + row * experts;
      float largest = 0;
      double sum = 0;
      training_.exponentialSum(logits, experts, &largest, &sum);
      std::copy_n(logits, experts, probabilities);
      training_.scaledExponentials(probabilities, experts, largest, static_cast<float>(1 / sum));
      for (int64_t expert = 0; expert < experts; ++expert) total[expert] += probabilities[expert];
      const double logSumExp = largest + std::log(sum);
      total[experts] += logSumExp * logSumExp;
    }
  });
  for (int64_t block = 0; block < blocks; ++block) {
    const double* total = partialDoubles_.data() + block * stride;
    for (int64_t expert = 0; expert < experts; ++expert) sums.probabilities[expert] += total[expert];
    sums.squaredLogSumExp += total[experts];
  }
  for (int64_t slot = 0; slot < dispatch.rows * k; ++slot) sums.chosen[dispatch.expertIds[slot]] += 1;
}

void CpuTraining::routeBackward(const Dispatch& dispatch, const RouteOptions& options,
                                const float* dRoutingWeights, const RouterLosses& losses, Tensor dLogits) {
  if (options.score != RouterScore::softmax)
    throw Error(ErrorCode::unsupportedModel, "the gradient of sigmoid routers is not implemented");
  const int64_t experts = dispatch.experts, k = dispatch.expertsPerToken;
  const bool needsAll = !options.normalise || losses.balance || losses.z != 0;
  // Of all experts' probabilities, per thread.
  const int64_t stride = blocksOf(experts, 16) * 16;
  partial_.reserve(sizeProduct(threads(), stride));
  parallel(dispatch.rows, 64 * dispatch.rows * experts, [&](int64_t row, int thread) {
    const float* weights = dispatch.weights + row * k;
    const float* given = dRoutingWeights + row * k;
    const int32_t* ids = dispatch.expertIds + row * k;
    float* out = dLogits.row(row);
    // The weights contain the scale, by which the gradient has to be multiplied, too.
    float mean = 0;
    for (int64_t rank = 0; rank < k; ++rank) mean += weights[rank] / options.scale * given[rank];
    std::fill_n(out, experts, 0.0f);
    if (options.normalise) {
      for (int64_t rank = 0; rank < k; ++rank) out[ids[rank]] = weights[rank] * (given[rank] - mean);
    }
    if (!needsAll) return;
    const float* logits = dispatch.routerLogits + row * experts;
    float* p = partial_.data() + thread * stride;
    float largest = 0;
    double sum = 0;
    training_.exponentialSum(logits, experts, &largest, &sum);
    std::copy_n(logits, experts, p);
    training_.scaledExponentials(p, experts, largest, static_cast<float>(1 / sum));
    if (!options.normalise) {
      for (int64_t expert = 0; expert < experts; ++expert) out[expert] = -mean * options.scale * p[expert];
      for (int64_t rank = 0; rank < k; ++rank) out[ids[rank]] += weights[rank] * given[rank];
    }
    if (losses.balance) {
      const float balance = training_.dot(losses.balance, p, experts);
      for (int64_t expert = 0; expert < experts; ++expert)
        out[expert] += p[expert] * (losses.balance[expert] - balance);
    }
    if (losses.z != 0) {
      const float factor = losses.z * static_cast<float>(largest + std::log(sum));
      for (int64_t expert = 0; expert < experts; ++expert) out[expert] += factor * p[expert];
    }
  });
}

}  // namespace rnd1::cpu
