// Routing: the best experts of each row, and the rows grouped by expert.
#include <algorithm>
#include <cmath>
#include <limits>

#include "backend/cpu/cpu_backend.h"

namespace rnd1::cpu {
namespace {

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

/** The softmax over all experts at the chosen ids. */
void routingWeights(const float* logits, int64_t experts, const int32_t* ids, int64_t k, bool normalise,
                    float* weights) {
  float maximum = -std::numeric_limits<float>::infinity();
  for (int64_t expert = 0; expert < experts; ++expert) maximum = std::max(maximum, logits[expert]);
  float sum = 0;
  for (int64_t expert = 0; expert < experts; ++expert) sum += std::exp(logits[expert] - maximum);
  float chosen = 0;
  for (int64_t rank = 0; rank < k; ++rank) {
    weights[rank] = std::exp(logits[ids[rank]] - maximum) / sum;
    chosen += weights[rank];
  }
  if (!normalise) return;
  for (int64_t rank = 0; rank < k; ++rank) weights[rank] /= chosen;
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
  matmul(x, {&router, 1}, Tensor(dispatch.routerLogits, x.rows, experts));
  parallel(x.rows, x.rows * experts * (8 + k), [&](int64_t row, int) {
    const float* logits = dispatch.routerLogits + row * experts;
    int32_t* ids = dispatch.expertIds + row * k;
    if (options.forcedExperts) {
      std::copy_n(options.forcedExperts + row * k, k, ids);
    } else {
      selectExperts(logits, experts, k, ids);
    }
    routingWeights(logits, experts, ids, k, options.normalise, dispatch.weights + row * k);
  });
  groupByExpert(dispatch);
}

}  // namespace rnd1::cpu
