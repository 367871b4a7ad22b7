// Routing without a round trip to the host: the best k of each row, then the slots grouped by expert.
#include "backend/cuda/device/dependent_launch.h"
#include "backend/cuda/device/numbers.h"
#include "backend/cuda/device/reduce.h"
#include "backend/cuda/device/shared.h"
#include "backend/cuda/kernels.h"
#include "backend/cuda/launch.h"

namespace rnd1::cuda {
namespace {

constexpr int selectThreads = 128;  // four warps, one row each
constexpr int groupThreads = 256;
constexpr int slotsPerThread = 8;

__device__ __forceinline__ uint64_t larger(uint64_t a, uint64_t b) { return a > b ? a : b; }

__device__ __forceinline__ int64_t validRowCount(const Dispatch& dispatch) {
  return Tensor(nullptr, dispatch.rows, 0).limitedTo(dispatch.validRows).validRowCount();
}

__device__ __forceinline__ float sigmoid(float x) { return 1.0f / (1.0f + expf(-x)); }

/** The scores that a row's experts are selected by. The lanes of a warp call everything together. */
template <RouterScore score>
struct Selection {
  const RouteOptions& options;
  const float* logits;
  int32_t experts;
  uint64_t keptGroups = ~uint64_t{0};  // a bit per group

  __device__ __forceinline__ float scoreOf(int32_t expert) const {
    if (score == RouterScore::softmax) return logits[expert];
    const Weight& bias = options.selectionBias;
    return sigmoid(logits[expert]) + (bias.data ? element(bias.dtype, bias.data, expert) : 0.0f);
  }
  __device__ __forceinline__ float operator()(int32_t expert) const {
    if (score == RouterScore::softmax || options.groups.count == 0) return scoreOf(expert);
    const int32_t group = expert / (experts / options.groups.count);
    return keptGroups >> group & 1 ? scoreOf(expert) : -INFINITY;
  }

  /** The sum of a group's two largest scores. */
  __device__ float groupValue(int32_t group, int32_t size) const {
    float first = -INFINITY, second = -INFINITY;
    const auto take = [&](float otherFirst, float otherSecond) {
      second = fmaxf(fminf(first, otherFirst), fmaxf(second, otherSecond));
      first = fmaxf(first, otherFirst);
    };
    for (int32_t i = static_cast<int32_t>(threadIdx.x % 32); i < size; i += 32)
      take(scoreOf(group * size + i), -INFINITY);
    for (int bits = 16; bits > 0; bits /= 2) {
      const float otherFirst = __shfl_xor_sync(allLanes, first, bits);
      const float otherSecond = __shfl_xor_sync(allLanes, second, bits);
      take(otherFirst, otherSecond);
    }
    return size > 1 ? first + second : first;
  }

  __device__ void keepGroups() {
    const auto [count, kept] = options.groups;
    const int32_t size = experts / count, lane = static_cast<int32_t>(threadIdx.x % 32);
    static_assert(maxExpertGroups == 64);
    float low = 0, high = 0;  // of the groups lane and lane + 32
    for (int32_t group = 0; group < count; ++group) {
      const float value = groupValue(group, size);
      if (group == lane) low = value;
      if (group == lane + 32) high = value;
    }
    int32_t betterThanLow = 0, betterThanHigh = 0;
    for (int32_t other = 0; other < count; ++other) {
      const float value = __shfl_sync(allLanes, other < 32 ? low : high, other % 32);
      betterThanLow += value > low || (value == low && other < lane) ? 1 : 0;
      betterThanHigh += value > high || (value == high && other < lane + 32) ? 1 : 0;
    }
    keptGroups = uint64_t{__ballot_sync(allLanes, betterThanHigh < kept)} << 32 |
                 __ballot_sync(allLanes, betterThanLow < kept);
  }
};

/** A row of logits by a warp; pieces are `stride` values apart. */
__device__ __forceinline__ void sumPieces(const float* partials, int64_t stride, int64_t pieces,
                                          int32_t experts, float* logits) {
  for (auto expert = static_cast<int32_t>(threadIdx.x % 32); expert < experts; expert += 32) {
    float sum = 0;
#pragma unroll 8
    for (int64_t piece = 0; piece < pieces; ++piece) sum += partials[piece * stride + expert];
    logits[expert] = sum;
  }
}

template <RouterScore score>
__global__ void __launch_bounds__(selectThreads)
    selectKernel(RouteOptions options, Dispatch dispatch, const float* partials, int64_t pieces) {
  awaitPredecessors();
  const int lane = static_cast<int>(threadIdx.x % 32);
  const int64_t row = int64_t{blockIdx.x} * (selectThreads / 32) + threadIdx.x / 32;
  if (row >= validRowCount(dispatch)) return;
  const int64_t k = dispatch.expertsPerToken;
  const auto experts = static_cast<int32_t>(dispatch.experts);
  const float* logits = dispatch.routerLogits + row * experts;
  int32_t* ids = dispatch.expertIds + row * k;
  float* weights = dispatch.weights + row * k;
  if (pieces > 0) {
    sumPieces(partials + row * experts, dispatch.rows * experts, pieces, experts,
              dispatch.routerLogits + row * experts);
    // Lanes read what others wrote.
    __syncwarp();
  }

  constexpr bool softmax = score == RouterScore::softmax;
  float maximum = -INFINITY, sum = 0;
  if (softmax) {
    for (int32_t expert = lane; expert < experts; expert += 32) maximum = fmaxf(maximum, logits[expert]);
    maximum = warpReduce(maximum, [](float a, float b) { return fmaxf(a, b); });
    for (int32_t expert = lane; expert < experts; expert += 32) sum += expf(logits[expert] - maximum);
    sum = warpSum(sum);
  }
  Selection<score> selection{options, logits, experts};
  if (!softmax && options.groups.count > 0 && !options.forcedExperts) selection.keepGroups();

  uint64_t last = ~uint64_t{0};  // keys are distinct, and chosen in descending order
  for (int64_t rank = 0; rank < k; ++rank) {
    int32_t id;
    if (options.forcedExperts) {
      id = options.forcedExperts[row * k + rank];
    } else {
      uint64_t best = 0;
      for (int32_t expert = lane; expert < experts; expert += 32) {
        const uint64_t key = bestFirstKey(selection(expert), expert);
        if (key < last) best = larger(best, key);
      }
      last = warpReduce(best, [](uint64_t a, uint64_t b) { return larger(a, b); });
      id = idOfKey(last);
    }
    if (lane == 0) {
      ids[rank] = id;
      weights[rank] = softmax ? expf(logits[id] - maximum) / sum : sigmoid(logits[id]);
    }
    // The next rank reads what lane 0 wrote.
    __syncwarp();
  }
  float total = 1;
  if (options.normalise) {
    total = 0;
    for (int64_t rank = 0; rank < k; ++rank) total += weights[rank];
    total += smallestSum(score);
  }
  __syncwarp();
  for (int64_t rank = lane; rank < k; rank += 32) weights[rank] = weights[rank] / total * options.scale;
}

/** A bit for each of `slotsPerThread` slots from `first` on whose expert satisfies a condition. */
template <typename Condition>
__device__ __forceinline__ uint32_t slotsWhere(const int32_t* ids, int32_t first, int32_t slots,
                                               Condition condition) {
  uint32_t bits = 0;
  // One load for four ids, if they are aligned to 16 bytes.
  if (first + slotsPerThread <= slots && reinterpret_cast<uintptr_t>(ids) % sizeof(int4) == 0) {
    for (int part = 0; part < slotsPerThread; part += 4) {
      const int4 four = *reinterpret_cast<const int4*>(ids + first + part);
      const int32_t values[4] = {four.x, four.y, four.z, four.w};
      for (int i = 0; i < 4; ++i) bits |= (condition(values[i]) ? 1u : 0u) << (part + i);
    }
  } else {
    for (int i = 0; i < slotsPerThread && first + i < slots; ++i)
      bits |= (condition(ids[first + i]) ? 1u : 0u) << i;
  }
  return bits;
}

/** A block per expert counts the slots before its own, then lists its own in ascending order. */
__global__ void __launch_bounds__(groupThreads) groupKernel(Dispatch dispatch) {
  awaitPredecessors();
  auto* scratch = reinterpret_cast<int32_t*>(sharedMemory());  // (groupThreads / 32)
  const auto expert = static_cast<int32_t>(blockIdx.x);
  const auto slots = static_cast<int32_t>(validRowCount(dispatch) * dispatch.expertsPerToken);
  const int thread = static_cast<int>(threadIdx.x), lane = thread % 32, warp = thread / 32;
  constexpr int32_t round = groupThreads * slotsPerThread;

  int32_t before = 0;
  for (int32_t first = thread * slotsPerThread; first < slots; first += round)
    before += __popc(slotsWhere(dispatch.expertIds, first, slots, [&](int32_t id) { return id < expert; }));
  int32_t next = blockReduce<groupThreads>(before, scratch, [](int32_t a, int32_t b) { return a + b; });
  if (thread == 0) dispatch.offsets[expert] = next;
  if (thread == 0 && expert == dispatch.experts - 1) dispatch.offsets[expert + 1] = slots;

  for (int32_t start = 0; start < slots; start += round) {
    const int32_t first = start + thread * slotsPerThread;
    uint32_t mine = slotsWhere(dispatch.expertIds, first, slots, [&](int32_t id) { return id == expert; });
    const int32_t upTo = warpScan<int32_t>(__popc(mine));
    __syncthreads();  // all threads have read the previous round's counts
    if (lane == 31) scratch[warp] = upTo;
    __syncthreads();
    int32_t position = next + upTo - __popc(mine);
    for (int w = 0; w < groupThreads / 32; ++w) {
      if (w < warp) position += scratch[w];
      next += scratch[w];
    }
    for (; mine != 0; mine &= mine - 1)
      dispatch.slots[position++] = first + __ffs(static_cast<int>(mine)) - 1;
  }
}

}  // namespace

void selectExperts(cudaStream_t stream, const RouteOptions& options, const Dispatch& dispatch,
                   const float* partials, int64_t pieces) {
  const Grid grid{dim3(blocksFor(dispatch.rows, selectThreads / 32)), selectThreads};
  if (options.score == RouterScore::softmax) {
    launchEarly(stream, "route (select)", grid, selectKernel<RouterScore::softmax>, options, dispatch,
                partials, pieces);
  } else {
    launchEarly(stream, "route (select)", grid, selectKernel<RouterScore::sigmoid>, options, dispatch,
                partials, pieces);
  }
}

void groupByExpert(cudaStream_t stream, const Dispatch& dispatch) {
  launchEarly(
      stream, "route (group)",
      {dim3(static_cast<unsigned>(dispatch.experts)), groupThreads, groupThreads / 32 * sizeof(int32_t)},
      groupKernel, dispatch);
}

}  // namespace rnd1::cuda
