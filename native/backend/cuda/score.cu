// Scores of rows of logits: bans, temperature, filters, log-softmax, argmax or draw. A block per row.

#include <cfloat>

#include "backend/cuda/device/dependent_launch.h"
#include "backend/cuda/device/philox.h"
#include "backend/cuda/device/shared.h"
#include "backend/cuda/kernels.h"
#include "backend/cuda/launch.h"
#include "backend/cuda/score_filters.h"

namespace rnd1::cuda {
namespace {

/** Computes log p − log(−log u) of a kept token, without the terms common to a row. */
struct Draw {
  const Row& row;
  const Cut& kept;
  const SamplingPlan& plan;
  int32_t position;
  float maximum;  // of the kept logits

  /** −log(−log u) lies between −2.82 and 16.64: a token further below the best one never wins. */
  static constexpr float farBehind = -20;
  /**
   * Twice the error bound of the f32 key of such a token: 2⁻²⁰ each for the difference and the sum, 2⁻¹⁸ for
   * the logarithms (one unit in the last place each, CUDA C++ Programming Guide), plus a margin.
   */
  static constexpr float slack = 0x1p-14f;

  /** body(id, logit, u) for this thread's share of the tokens that may win, in ascending order. */
  template <typename Body>
  __device__ __forceinline__ void forEach(Body body) const {
    // Four consecutive ids share the words of one counter.
    for (int32_t block = static_cast<int32_t>(threadIdx.x); block * 4 < row.count; block += scoreThreads) {
      const auto mayWin = [&](int32_t id) {
        return id < row.count && row.logits[id] - maximum > farBehind && kept.keeps(row.logits[id], id);
      };
      bool any = false;
      for (int lane = 0; lane < 4; ++lane) any = any || mayWin(block * 4 + lane);
      if (!any) continue;
      const uint4 words = philox(
          plan.seed, uint4{static_cast<uint32_t>(block), static_cast<uint32_t>(position), plan.round, 0});
      const uint32_t lanes[4] = {words.x, words.y, words.z, words.w};
      for (int lane = 0; lane < 4; ++lane) {
        const int32_t id = block * 4 + lane;
        if (mayWin(id)) body(id, row.logits[id], (static_cast<float>(lanes[lane] >> 9) + 0.5f) * 0x1p-23f);
      }
    }
  }

  __device__ float approximateKey(float logit, float u) const { return logit - maximum - logf(-logf(u)); }
};

/** A draw from the kept tokens: argmax of log p − log(−log u), ties to the lowest id. In f64, but only for
 * tokens that f32 cannot distinguish from the best. */
__device__ int32_t draw(const Draw& given, double logSum) {
  float best = -INFINITY, second = -INFINITY, bestU = 0.5f;
  int32_t bestId = INT32_MAX;
  given.forEach([&](int32_t id, float logit, float u) {
    const float key = given.approximateKey(logit, u);
    second = fmaxf(second, fminf(best, key));
    if (key > best) {
      best = key;
      bestId = id;
      bestU = u;
    }
  });
  const Row& row = given.row;
  const float bound = row.reduce(best, [](float a, float b) { return fmaxf(a, b); }) - Draw::slack;
  double value = -INFINITY;
  int32_t token = INT32_MAX;
  const auto look = [&](int32_t id, float logit, float u) {
    const double exact = static_cast<double>(logit) - logSum - log(-log(static_cast<double>(u)));
    if (exact > value) {
      value = exact;
      token = id;
    }
  };
  if (second >= bound) {
    given.forEach([&](int32_t id, float logit, float u) {
      if (given.approximateKey(logit, u) >= bound) look(id, logit, u);
    });
  } else if (best >= bound) {
    look(bestId, row.logits[bestId], bestU);
  }
  const double winner = row.reduce(value, [](double a, double b) { return a > b ? a : b; });
  return row.reduce(value == winner ? token : INT32_MAX, [](int32_t a, int32_t b) { return a < b ? a : b; });
}

struct ScoreArguments {
  Tensor logits;
  bool givenLogits;
  const ScoreRow* rows;
  const SamplingPlan* plans;
  Score* scores;
};

__device__ void banish(const Row& row, const std::span<const int32_t>& tokens) {
  for (size_t i = threadIdx.x; i < tokens.size(); i += scoreThreads) row.logits[tokens[i]] = -INFINITY;
  __syncthreads();
}

/** Σ exp(temperature · (z − best)): times the temperature, differences are those of the raw logits again. */
__device__ double rawSum(const Row& row, float best, float temperature) {
  TwoFloats mine;
  row.forEach([&](float logit, int32_t) {
    if (logit > -INFINITY)
      mine = plus(mine, exponential(times(exactDifference(logit, best), {temperature, 0})));
  });
  return row.sum(mine.value());
}

__device__ Score scoreRow(const ScoreArguments& given, const Row& row, const ScoreRow& scored) {
  Score score;
  const SamplingPlan& plan = given.plans[scored.canvas];
  const float temperature = fmaxf(plan.temperature, 1e-8f);
  // Includes banned tokens: NaN anywhere fails the canvas.
  int32_t bad = 0;
  row.forEach([&](float logit, int32_t id) {
    const float z = logit / temperature;
    bad += z != z || z == INFINITY || (!given.givenLogits && z == -INFINITY) ? 1 : 0;
    row.logits[id] = z;
  });
  score.finite = row.sum(bad) == 0;
  if (!score.finite) return score;
  banish(row, plan.banned);

  uint64_t first = 0, second = 0;
  const auto findBestTwo = [&](const Cut& kept) {
    uint64_t mine = 0, next = 0;
    row.forEach([&](float logit, int32_t id) {
      const uint64_t key = kept.keeps(logit, id) ? bestFirstKey(logit, id) : 0;
      next = key > mine ? mine : key > next ? key : next;
      mine = key > mine ? key : mine;
    });
    first = row.largest(mine);
    second = row.largest(mine == first ? next : mine);
  };
  Cut kept;
  findBestTwo(kept);
  score.finite = first != 0;
  if (!score.finite) return score;
  float best = row.logits[idOfKey(first)];
  const bool topP = plan.topP > 0 && plan.topP < 1, filters = topP || plan.topK > 0;
  // One place for each filter, whichever comes first, so that registers suffice.
  for (int stage = 0; stage < 2; ++stage) {
    const bool nucleus = plan.topPFirst == (stage == 0);
    if (nucleus && topP)
      kept = bestOf(row, kept, nucleusSize(row, kept, best, plan.topP, plan.topPFirst ? 1 : 2));
    if (!nucleus && plan.topK > 0) kept = bestOf(row, kept, plan.topK, plan.topPFirst);
  }

  double sum = 0, weighted = 0, logSum = 0;
  for (bool zeroed = false;; zeroed = true) {
    if (zeroed) banish(row, plan.zeroed);
    // Filters always keep the best token, but may remove the second.
    if (filters || zeroed) findBestTwo(kept);
    if (first == 0) {
      score.confidence = -FLT_MAX;
      return score;
    }
    best = row.logits[idOfKey(first)];
    TwoFloats mySum, myWeighted;
    row.forEach([&](float logit, int32_t id) {
      if (!kept.keeps(logit, id)) return;
      const TwoFloats difference = exactDifference(logit, best);
      const TwoFloats probability = exponential(difference);
      if (probability.high == 0) return;  // the difference may be −∞, and 0 · ∞ is NaN
      mySum = plus(mySum, probability);
      myWeighted = plus(myWeighted, times(probability, difference));
    });
    sum = row.sum(mySum.value());
    weighted = row.sum(myWeighted.value());
    logSum = log(sum);
    if (zeroed) break;
    score.token =
        plan.greedy ? idOfKey(first) : draw({row, kept, plan, scored.position, best}, best + logSum);
    if (plan.zeroed.empty()) break;
  }
  const double runnerUp = second == 0 ? -INFINITY : static_cast<double>(row.logits[idOfKey(second)]);
  score.entropy = static_cast<float>(logSum - weighted / sum);
  score.margin = static_cast<float>((1 - exp(runnerUp - best)) / sum);
  const float logit = row.logits[score.token];
  if (logit == -INFINITY) {
    score.confidence = -FLT_MAX;
  } else if (plan.rawConfidence && (filters || temperature != 1)) {
    // The best of all tokens is the best of the kept ones.
    const double difference = (static_cast<double>(logit) - best) * static_cast<double>(temperature);
    score.confidence = static_cast<float>(difference - log(rawSum(row, best, temperature)));
  } else {
    score.confidence = static_cast<float>(static_cast<double>(logit) - best - logSum);
  }
  return score;
}

// Without a block count, ptxas spills registers although more are available.
__global__ void __launch_bounds__(scoreThreads, 3) scoreKernel(ScoreArguments given) {
  awaitPredecessors();
  const int64_t index = blockIdx.x;
  if (index >= given.logits.validRowCount()) return;
  const ScoreRow scored = given.rows[index];
  Score score;
  if (!scored.predicted) {
    score = unpredicted(scored);
  } else {
    const Row row{given.logits.row(index), static_cast<int32_t>(given.logits.columns),
                  *reinterpret_cast<ScoreMemory*>(sharedMemory())};
    score = scoreRow(given, row, scored);
  }
  if (threadIdx.x == 0) given.scores[index] = score;
}

}  // namespace

void scoreRows(cudaStream_t stream, Tensor logits, bool givenLogits, const ScoreRow* rows,
               const SamplingPlan* plans, Score* scores) {
  launchEarly(stream, "score", {dim3(blocksFor(logits.rows, 1)), scoreThreads, sizeof(ScoreMemory)},
              scoreKernel, ScoreArguments{logits, givenLogits, rows, plans, scores});
}

}  // namespace rnd1::cuda
