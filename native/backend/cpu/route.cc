// Routing: the best experts of each row, and the rows grouped by expert.
#include <algorithm>
#include <cmath>
#include <limits>

#include "backend/cpu/cpu_backend.h"

namespace rnd1::cpu {
namespace {

constexpr float infinity = std::numeric_limits<float>::infinity();

/** The best k of one row, best first, ties to the lower id. */
void selectExperts(const float* logits, int64_t experts, int64_t k, int32_t* ids) {
  for (int64_t rank = 0; rank < k; ++rank) {
    int32_t best = -1;
    for (int32_t expert = 0; expert < experts; ++expert) {
      if (best >= 0 && !(logits[expert] > logits[best])) continue;
      if (std::find(ids, ids + rank, expert) == ids + rank) best = expert;
    }
    ids[rank] = best;
  }
}

float sigmoid(float x) { return 1.0f / (1.0f + std::exp(-x)); }

/** Excludes experts outside the best groups by −∞. values (groups): scratch. */
void keepGroups(float* selection, int64_t experts, ExpertGroups groups, float* values) {
  const int64_t size = experts / groups.count;
  for (int64_t group = 0; group < groups.count; ++group) {
    float first = -infinity, second = -infinity;
    for (const float* score = selection + group * size; score < selection + (group + 1) * size; ++score) {
      second = std::max(second, std::min(first, *score));
      first = std::max(first, *score);
    }
    values[group] = size > 1 ? first + second : first;
  }
  for (int64_t group = 0; group < groups.count; ++group) {
    int64_t better = 0;
    for (int64_t other = 0; other < groups.count; ++other)
      better += values[other] > values[group] || (values[other] == values[group] && other < group);
    if (better >= groups.kept) std::fill_n(selection + group * size, size, -infinity);
  }
}

/** The scores of all experts at the chosen ids. */
void softmaxWeights(const float* logits, int64_t experts, const int32_t* ids, int64_t k, float* weights) {
  float maximum = -infinity;
  for (int64_t expert = 0; expert < experts; ++expert) maximum = std::max(maximum, logits[expert]);
  float sum = 0;
  for (int64_t expert = 0; expert < experts; ++expert) sum += std::exp(logits[expert] - maximum);
  for (int64_t rank = 0; rank < k; ++rank) weights[rank] = std::exp(logits[ids[rank]] - maximum) / sum;
}

void routingWeights(const RouteOptions& options, const float* logits, int64_t experts, const int32_t* ids,
                    float* weights) {
  const int64_t k = options.expertsPerToken;
  if (options.score == RouterScore::softmax) {
    softmaxWeights(logits, experts, ids, k, weights);
  } else {
    for (int64_t rank = 0; rank < k; ++rank) weights[rank] = sigmoid(logits[ids[rank]]);
  }
  if (options.normalise) {
    float chosen = 0;
    for (int64_t rank = 0; rank < k; ++rank) chosen += weights[rank];
    for (int64_t rank = 0; rank < k; ++rank) weights[rank] /= chosen + smallestSum(options.score);
  }
  for (int64_t rank = 0; rank < k; ++rank) weights[rank] *= options.scale;
}

/** Counting sort of the slots by expert, ascending within each. */
void groupByExpert(Dispatch& dispatch) {
  const int64_t slots = dispatch.rows * dispatch.expertsPerToken;
  std::fill(dispatch.offsets, dispatch.offsets + dispatch.experts + 1, 0);
  for (int64_t slot = 0; slot < slots; ++slot) ++dispatch.offsets[dispatch.expertIds[slot] + 1];
  for (int64_t expert = 0; expert < dispatch.experts; ++expert)
    dispatch.offsets[expert + 1] += dispatch.offsets[expert];
  // Filling moves each start to its end; shifting all by one index restores the starts.
  for (int64_t slot = 0; slot < slots; ++slot)
    dispatch.slots[dispatch.offsets[dispatch.expertIds[slot]]++] = static_cast<int32_t>(slot);
  for (int64_t expert = dispatch.experts; expert > 0; --expert)
    dispatch.offsets[expert] = dispatch.offsets[expert - 1];
  dispatch.offsets[0] = 0;
}

}  // namespace

void CpuBackend::route(Tensor x, const Weight& router, const RouteOptions& options, Dispatch& dispatch) {
  const int64_t k = options.expertsPerToken;
  const int64_t experts = router.rows;
  dispatch.rows = x.rows;
  dispatch.experts = experts;
  dispatch.expertsPerToken = k;
  checkRoute(options, experts);
  matmul(x, {&router, 1}, Tensor(dispatch.routerLogits, x.rows, experts));
  const Weight& bias = options.selectionBias;
  const float* added = bias.data ? widenedVector(bias, firstVector_) : nullptr;
  parallel(x.rows, x.rows * experts * (8 + k), [&](int64_t row, int thread) {
    const float* logits = dispatch.routerLogits + row * experts;
    int32_t* ids = dispatch.expertIds + row * k;
    if (options.forcedExperts) {
      std::copy_n(options.forcedExperts + row * k, k, ids);
    } else if (options.score == RouterScore::softmax) {
      selectExperts(logits, experts, k, ids);
    } else {
      float* selection = scratch_[thread].selection.data();
      for (int64_t expert = 0; expert < experts; ++expert)
        selection[expert] = sigmoid(logits[expert]) + (added ? added[expert] : 0);
      if (options.groups.count > 0) keepGroups(selection, experts, options.groups, selection + experts);
      selectExperts(selection, experts, k, ids);
    }
    routingWeights(options, logits, experts, ids, dispatch.weights + row * k);
  });
  groupByExpert(dispatch);
}

}  // namespace rnd1::cpu
