// Scores of rows of logits: bans, temperature, top-k, top-p, log-softmax, argmax or draw. A block per row.
// Filters do not sort: they find the cutoff value by a search over its bits, with integer sums, which are the
// same in any order.

#include "backend/cuda/device/exponential.h"
#include "backend/cuda/device/philox.h"
#include "backend/cuda/device/shared.h"
#include "backend/cuda/kernels.h"
#include "backend/cuda/launch.h"
#include "backend/cuda/score_row.h"

namespace rnd1::cuda {
namespace {

/** The value at which a sum over tokens, best first, crosses a threshold. */
struct Crossing {
  bool found = false;
  uint32_t bits = 0;             // that value
  unsigned long long above = 0;  // the sum over all larger values
};

/**
 * Sums weight(logit) over the kept tokens, largest value first, until crossed(sum): a search over the bits of
 * the value, eight at a time. Weights are integers, so that their sum does not depend on the order of
 * additions.
 */
template <typename Weight, typename Crossed>
__device__ Crossing findCrossing(const Row& row, const Cut& kept, Weight weight, Crossed crossed) {
  ScoreMemory& shared = row.shared;
  Crossing result;
  for (int shift = 24; shift >= 0; shift -= 8) {
    __syncthreads();
    for (int bin = static_cast<int>(threadIdx.x); bin < 256; bin += scoreThreads) shared.bins[bin] = 0;
    __syncthreads();
    row.forEach([&](float logit, int32_t id) {
      const uint32_t bits = orderedBits(logit);
      // The bits above this piece must equal those already found (none at first).
      if (kept.keeps(logit, id) && static_cast<uint64_t>(bits) >> (shift + 8) == result.bits)
        atomicAdd(&shared.bins[bits >> shift & 255u], weight(logit));
    });
    __syncthreads();
    if (threadIdx.x == 0) {
      shared.above = result.above;
      shared.found = 0;
      for (int bin = 255; bin >= 0 && !shared.found; --bin) {
        if (crossed(shared.above + shared.bins[bin])) {
          shared.bits = result.bits << 8 | static_cast<uint32_t>(bin);
          shared.found = 1;
        } else {
          shared.above += shared.bins[bin];
        }
      }
    }
    __syncthreads();
    result.found = shared.found != 0;
    if (!result.found) return result;
    result.bits = shared.bits;
    result.above = shared.above;
  }
  return result;
}

/** The cut that keeps the best `wanted` tokens kept by `before`; ties keep the lowest ids. wanted ≥ 1. */
__device__ Cut bestOf(const Row& row, const Cut& before, int32_t wanted) {
  const auto count = static_cast<unsigned long long>(wanted);
  const Crossing cut = findCrossing(
      row, before, [](float) { return 1ull; }, [&](unsigned long long sum) { return sum >= count; });
  if (!cut.found) return before;
  const auto left = static_cast<int32_t>(count - cut.above);
  // Among equal logits, finds the last id to keep.
  int32_t low = 0, high = row.count - 1;
  while (low < high) {
    const int32_t middle = low + (high - low) / 2;
    int32_t equal = 0;
    row.forEach([&](float logit, int32_t id) {
      equal += id <= middle && before.keeps(logit, id) && orderedBits(logit) == cut.bits ? 1 : 0;
    });
    if (row.sum(equal) >= left) {
      high = middle;
    } else {
      low = middle + 1;
    }
  }
  return {cut.bits, low};
}

/**
 * Number of tokens that top-p keeps: ranks 1 and 2 always, rank j while the sum of the probabilities up to
 * rank j − 1 is ≤ bound, compared in f32.
 */
__device__ int32_t nucleusSize(const Row& row, const Cut& kept, float maximum, float bound) {
  constexpr float one = 0x1p60f;  // probabilities are added as multiples of 2⁻⁶⁰
  const auto relative = [&](float logit) { return exponential(exactDifference(logit, maximum)); };
  TwoFloats total;
  row.forEach([&](float logit, int32_t id) {
    if (kept.keeps(logit, id)) total = plus(total, relative(logit));
  });
  const TwoFloats share = twoFloats(1 / row.sum(total.value()));
  const auto mass = [&](float logit) {
    return static_cast<unsigned long long>(times(relative(logit), share).high * one);
  };
  const auto beyond = [&](unsigned long long sum) {
    return static_cast<float>(static_cast<double>(sum) / one) > bound;
  };
  const Crossing cut = findCrossing(row, kept, mass, beyond);
  if (!cut.found) return INT32_MAX;
  int32_t above = 0, equal = 0;
  uint64_t key = 0;
  row.forEach([&](float logit, int32_t id) {
    if (!kept.keeps(logit, id)) return;
    const uint32_t bits = orderedBits(logit);
    above += bits > cut.bits ? 1 : 0;
    equal += bits == cut.bits ? 1 : 0;
    if (bits == cut.bits) key = bestFirstKey(logit, id);
  });
  int32_t size = row.sum(above);
  equal = row.sum(equal);
  const unsigned long long each = mass(row.logits[idOfKey(row.largest(key))]);
  unsigned long long sum = cut.above;
  for (int32_t i = 0; i < equal && !beyond(sum); ++i, sum += each) ++size;
  return size < 2 ? 2 : size;
}

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
  for (size_t i = threadIdx.x; i < plan.banned.size(); i += scoreThreads)
    row.logits[plan.banned[i]] = -INFINITY;
  __syncthreads();

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
  score.token = idOfKey(first);
  const float best = row.logits[score.token];
  const bool topP = plan.topP > 0 && plan.topP < 1;
  if (plan.topK > 0) kept = bestOf(row, kept, plan.topK);
  if (topP) kept = bestOf(row, kept, nucleusSize(row, kept, best, plan.topP));
  // Filters always keep the best token, but may remove the second.
  if (plan.topK > 0 || topP) findBestTwo(kept);

  TwoFloats mySum, myWeighted;
  row.forEach([&](float logit, int32_t id) {
    if (!kept.keeps(logit, id)) return;
    const TwoFloats difference = exactDifference(logit, best);
    const TwoFloats probability = exponential(difference);
    if (probability.high == 0) return;  // the difference may be −∞, and 0 · ∞ is NaN
    mySum = plus(mySum, probability);
    myWeighted = plus(myWeighted, times(probability, difference));
  });
  const double sum = row.sum(mySum.value()), weighted = row.sum(myWeighted.value());
  const double logSum = log(sum);
  if (!plan.greedy) score.token = draw({row, kept, plan, scored.position, best}, best + logSum);
  const double runnerUp = second == 0 ? -INFINITY : static_cast<double>(row.logits[idOfKey(second)]);
  score.confidence = static_cast<float>(static_cast<double>(row.logits[score.token]) - best - logSum);
  score.entropy = static_cast<float>(logSum - weighted / sum);
  score.margin = static_cast<float>((1 - exp(runnerUp - best)) / sum);
  return score;
}

// Without a block count, ptxas spills registers although more are available.
__global__ void __launch_bounds__(scoreThreads, 4) scoreKernel(ScoreArguments given) {
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
  launch(stream, "score", {dim3(blocksFor(logits.rows, 1)), scoreThreads, sizeof(ScoreMemory)}, scoreKernel,
         ScoreArguments{logits, givenLogits, rows, plans, scores});
}

}  // namespace rnd1::cuda
