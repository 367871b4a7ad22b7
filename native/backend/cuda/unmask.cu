// The unmasking rule (docs/architecture.md, "Schedules") on the device: a block per canvas sorts its rows,
// best first, and commits as many as the plan allows. Its decisions equal those of backend/unmask.cc.
#include "backend/cuda/device/dependent_launch.h"
#include "backend/cuda/device/numbers.h"
#include "backend/cuda/device/philox.h"
#include "backend/cuda/device/reduce.h"
#include "backend/cuda/device/shared.h"
#include "backend/cuda/kernels.h"
#include "backend/cuda/launch.h"

namespace rnd1::cuda {
namespace {

constexpr int unmaskThreads = 512;
constexpr int32_t sharedKeys = 4096;  // canvases with more rows are sorted in global memory
constexpr int entropyPiece = 512;     // entropies staged for the sequential sum

struct UnmaskMemory {
  uint64_t keys[sharedKeys];
  float entropies[entropyPiece];
  int32_t partial[unmaskThreads / 32];
  int32_t count;
};

/** Of rows that order and limit do not concern. */
constexpr uint64_t lastKey = UINT64_MAX;

/** As in backend/unmask.cc. */
__device__ __forceinline__ float noisyKey(const UnmaskPlan& plan, const Score& score, uint32_t word) {
  const double key = plan.order == UnmaskOrder::confidence ? exp(static_cast<double>(score.confidence))
                     : plan.order == UnmaskOrder::margin   ? static_cast<double>(score.margin)
                                                           : -static_cast<double>(score.entropy);
  const float u = (static_cast<float>(word >> 9) + 0.5f) * 0x1p-23f;
  return static_cast<float>(key / plan.orderTemperature - log(-log(static_cast<double>(u))));
}

/** Ascending: the better row first, ties to the lower index. */
__device__ __forceinline__ uint64_t keyOf(const UnmaskPlan& plan, const ScoreRow& row, const Score& score,
                                          int32_t index) {
  uint32_t order;
  if (plan.order == UnmaskOrder::random || plan.orderTemperature > 0) {
    // As orderCounter in core/random.h.
    order = philox(plan.seed, uint4{0, static_cast<uint32_t>(row.position), plan.round, 1}).x;
    if (plan.order != UnmaskOrder::random) order = ~orderedBits(noisyKey(plan, score, order));
  } else if (plan.order == UnmaskOrder::entropy) {
    order = orderedBits(score.entropy);
  } else if (plan.order == UnmaskOrder::confidence) {
    order = ~orderedBits(score.confidence);
  } else {
    order = ~orderedBits(score.margin);
  }
  return static_cast<uint64_t>(order) << 32 | static_cast<uint32_t>(index);
}

/** Bitonic sort for any count: keys missing at the end count as the largest and never move. */
__device__ void sortKeys(uint64_t* keys, int32_t count) {
  int32_t padded = 1;
  while (padded < count) padded *= 2;
  const auto exchange = [&](int32_t low, int32_t high) {
    if (high >= count || keys[low] <= keys[high]) return;
    const uint64_t key = keys[low];
    keys[low] = keys[high];
    keys[high] = key;
  };
  for (int32_t width = 2; width <= padded; width *= 2) {
    // Two ascending halves; the second is compared from its end.
    for (int32_t i = static_cast<int32_t>(threadIdx.x); i < padded / 2; i += unmaskThreads) {
      const int32_t start = i / (width / 2) * width, offset = i % (width / 2);
      exchange(start + offset, start + width - 1 - offset);
    }
    __syncthreads();
    for (int32_t distance = width / 4; distance > 0; distance /= 2) {
      for (int32_t i = static_cast<int32_t>(threadIdx.x); i < padded / 2; i += unmaskThreads) {
        const int32_t low = i / distance * 2 * distance + i % distance;
        exchange(low, low + distance);
      }
      __syncthreads();
    }
  }
}

/** Number of entries with Σ entropy − max entropy ≤ bound; a sequential sum in double, as on the host. */
__device__ int32_t withinEntropy(const uint64_t* keys, int32_t available, const Score* scores, float bound,
                                 UnmaskMemory& shared) {
  double sum = 0;
  float maximum = -INFINITY;
  int32_t count = 0;
  for (int32_t first = 0; first < available; first += entropyPiece) {
    const int32_t piece = available - first < entropyPiece ? available - first : entropyPiece;
    for (int32_t i = static_cast<int32_t>(threadIdx.x); i < piece; i += unmaskThreads)
      shared.entropies[i] = scores[static_cast<uint32_t>(keys[first + i])].entropy;
    __syncthreads();
    if (threadIdx.x == 0)
      for (int32_t i = 0; i < piece; ++i) {
        sum += shared.entropies[i];
        maximum = fmaxf(maximum, shared.entropies[i]);
        count += static_cast<float>(sum) - maximum <= bound ? 1 : 0;
      }
    __syncthreads();
  }
  return count;
}

struct UnmaskArguments {
  const UnmaskCanvas* canvases;
  const ScoreRow* rows;
  const uint8_t* eligible;
  Score* scores;
  uint64_t* keys;  // (scores): for canvases too long for shared memory
};

__global__ void __launch_bounds__(unmaskThreads) unmaskKernel(UnmaskArguments given) {
  awaitPredecessors();
  auto& shared = *reinterpret_cast<UnmaskMemory*>(sharedMemory());
  const UnmaskCanvas canvas = given.canvases[blockIdx.x];
  const UnmaskPlan& plan = canvas.plan;
  Score* scores = given.scores + canvas.first;
  uint64_t* keys = canvas.count <= sharedKeys ? shared.keys : given.keys + canvas.first;
  const int thread = static_cast<int>(threadIdx.x);
  const auto sum = [&](int32_t value) {
    __syncthreads();  // the previous values have been read
    return blockReduce<unmaskThreads>(value, shared.partial, [](int32_t a, int32_t b) { return a + b; });
  };

  int32_t mine = 0, above = 0;
  const auto threshold = static_cast<float>(plan.value);
  const auto sure = [&](const Score& score) {
    return plan.strict ? score.confidence > threshold : score.confidence >= threshold;
  };
  for (int32_t i = thread; i < canvas.count; i += unmaskThreads) {
    const uint8_t eligible = given.eligible[canvas.first + i];
    const ScoreRow& row = given.rows[canvas.first + i];
    const bool may = eligible == mayCommit;
    keys[i] = may ? keyOf(plan, row, scores[i], i) : lastKey;
    scores[i].committed =
        eligible == mayEdit && scores[i].token != row.token && scores[i].confidence > plan.editAbove;
    mine += may ? 1 : 0;
    above += may && sure(scores[i]) ? 1 : 0;
  }
  const int32_t available = sum(mine);
  above = sum(above);
  if (plan.limit == UnmaskLimit::tau && above >= plan.atLeast) {
    for (int32_t i = thread; i < canvas.count; i += unmaskThreads)
      if (given.eligible[canvas.first + i] == mayCommit) scores[i].committed = sure(scores[i]);
    return;
  }
  __syncthreads();
  sortKeys(keys, canvas.count);

  int32_t count = plan.atLeast;
  if (plan.limit == UnmaskLimit::keep) {
    count = plan.value >= static_cast<double>(available) ? 0 : available - static_cast<int32_t>(plan.value);
  } else if (plan.limit == UnmaskLimit::gamma) {
    count = withinEntropy(keys, available, scores, threshold, shared);
    if (thread == 0) shared.count = count;
    __syncthreads();
    count = shared.count;
  }
  if (count > available) count = available;
  for (int32_t i = thread; i < count; i += unmaskThreads)
    scores[static_cast<uint32_t>(keys[i])].committed = true;
}

}  // namespace

void unmask(cudaStream_t stream, const UnmaskCanvas* canvases, int64_t count, const ScoreRow* rows,
            const uint8_t* eligible, Score* scores, uint64_t* keys) {
  launchEarly(stream, "unmask", {dim3(static_cast<unsigned>(count)), unmaskThreads, sizeof(UnmaskMemory)},
              unmaskKernel, UnmaskArguments{canvases, rows, eligible, scores, keys});
}

}  // namespace rnd1::cuda
