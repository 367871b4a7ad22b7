// Greedy scores (argmax, log-probability, entropy, margin) of x · headᵀ without the logits: every block of
// the matmul processes its tiles of the vocabulary and keeps only running maxima and sums; a second kernel
// merges the results of the blocks.

#include <algorithm>

#include "backend/cuda/device/dependent_launch.h"
#include "backend/cuda/device/exponential.h"
#include "backend/cuda/device/reduce.h"
#include "backend/cuda/device/shared.h"
#include "backend/cuda/kernels.h"
#include "backend/cuda/launch.h"
#include "backend/cuda/matmul_tile.h"
#include "backend/cuda/mma_tile.h"
#include "backend/cuda/quantized_tile.h"

namespace rnd1::cuda {
namespace {

// The division of a row's tokens, and so the order of its sums, must not depend on other rows.
constexpr int greedyColumns = 64;
constexpr int tilesPerBlock = 4;
constexpr int joinThreads = 128;  // four warps, one row each
constexpr int tileStride = greedyColumns + 1;

static_assert(greedyColumns == tileColumns && greedyColumns == mmaColumns);

struct GreedyArguments {
  Tensor x;
  WeightTile lmHead;
  int32_t vocabulary;
  const ScoreRow* rows;
  const SamplingPlan* plans;
  GreedyPartial* partials;  // (rows, parts)
  int32_t parts;
  Score* scores;
};

/** Rescales sums to a larger maximum. */
__device__ __forceinline__ void rescale(GreedyPartial& partial, float maximum) {
  if (partial.maximum > -INFINITY) {
    const double factor = exponential(exactDifference(partial.maximum, maximum)).value();
    const double difference = static_cast<double>(partial.maximum) - maximum;
    partial.weighted = (partial.weighted + partial.sum * difference) * factor;
    partial.sum *= factor;
  }
  partial.maximum = maximum;
}

__device__ __forceinline__ void merge(GreedyPartial& partial, GreedyPartial other) {
  partial.bad |= other.bad;
  other.bad = partial.bad;
  if (other.maximum > partial.maximum || (other.maximum == partial.maximum && other.token < partial.token)) {
    const GreedyPartial lower = partial;
    partial = other;
    other = lower;
  }
  if (other.maximum == -INFINITY) return;
  partial.second = fmaxf(partial.second, other.maximum);
  rescale(other, partial.maximum);
  partial.sum += other.sum;
  partial.weighted += other.weighted;
}

/** Merges with the lane whose index differs in `bits`; both get the result. */
__device__ __forceinline__ void mergeLanes(GreedyPartial& partial, int bits) {
  GreedyPartial other;
  other.sum = __shfl_xor_sync(allLanes, partial.sum, bits);
  other.weighted = __shfl_xor_sync(allLanes, partial.weighted, bits);
  other.maximum = __shfl_xor_sync(allLanes, partial.maximum, bits);
  other.second = __shfl_xor_sync(allLanes, partial.second, bits);
  other.token = __shfl_xor_sync(allLanes, partial.token, bits);
  other.bad = __shfl_xor_sync(allLanes, partial.bad, bits);
  merge(partial, other);
}

/** A thread's share of a row's tokens: every `threadsPerRow`-th. The threads of a row are adjacent lanes of
 * a warp. */
template <int threads, int rows>
struct RowShare {
  static constexpr int threadsPerRow = threads / rows;

  const GreedyArguments& given;
  int64_t row;  // row of x
  int part;
  bool wanted;
  SamplingPlan plan;
  float temperature = 1;
  GreedyPartial partial;

  __device__ RowShare(const GreedyArguments& given, int64_t firstRow)
      : given(given),
        row(firstRow + threadIdx.x / threadsPerRow),
        part(static_cast<int>(threadIdx.x) % threadsPerRow),
        wanted(row < given.x.validRowCount() && given.rows[row].predicted) {
    if (!wanted) return;
    plan = given.plans[given.rows[row].canvas];
    temperature = fmaxf(plan.temperature, 1e-8f);
  }

  /** Adds this row's logits in a tile (rows, tileStride), for tokens from `first` on. */
  __device__ void look(float* tile, int32_t first, int32_t columns) {
    float* logits = tile + threadIdx.x / threadsPerRow * tileStride;
    if (wanted) {
      // Includes banned tokens: NaN anywhere fails the canvas.
      for (int c = part; c < columns; c += threadsPerRow) {
        const float logit = temperature == 1.0f ? logits[c] : logits[c] / temperature;
        if (!(fabsf(logit) < INFINITY)) partial.bad = 1;
        logits[c] = logit;
      }
    }
    __syncwarp();
    if (wanted)
      for (size_t i = static_cast<size_t>(part); i < plan.banned.size(); i += threadsPerRow) {
        const int32_t column = plan.banned[i] - first;
        if (column >= 0 && column < columns) logits[column] = -INFINITY;
      }
    __syncwarp();
    if (wanted) add(logits, first, columns);
  }

  /** Finds the maximum first, so that earlier sums are rescaled at most once. */
  __device__ void add(const float* logits, int32_t first, int32_t columns) {
    float maximum = partial.maximum;
    for (int c = part; c < columns; c += threadsPerRow) {
      partial.second = fmaxf(partial.second, fminf(maximum, logits[c]));
      // Tokens ascend: the first of equal logits stays.
      if (logits[c] > maximum) {
        maximum = logits[c];
        partial.token = first + c;
      }
    }
    if (maximum > partial.maximum) rescale(partial, maximum);
    TwoFloats sum, weighted;
    for (int c = part; c < columns; c += threadsPerRow) {
      const float difference = logits[c] - maximum;
      const float probability = expf(difference);
      if (!(probability > 0)) continue;  // banned or far away: 0 · −∞ would be NaN
      sum = plus(sum, {probability, 0});
      weighted = plus(weighted, {probability * difference, 0});
    }
    partial.sum += sum.value();
    partial.weighted += weighted.value();
  }

  __device__ void write() {
    for (int bits = threadsPerRow / 2; bits > 0; bits /= 2) mergeLanes(partial, bits);
    if (wanted && part == 0) given.partials[row * given.parts + blockIdx.y] = partial;
  }
};

/** product(first token, columns, tile), called by all threads, writes the logits of a tile. */
template <int threads, int rows, typename Product>
__device__ __forceinline__ void scoreTiles(const GreedyArguments& given, float* tile, Product product) {
  const int64_t firstRow = int64_t{blockIdx.x} * rows;
  if (firstRow >= given.x.validRowCount()) return;
  RowShare<threads, rows> share(given, firstRow);
  for (int i = 0; i < tilesPerBlock; ++i) {
    const int32_t first = (static_cast<int32_t>(blockIdx.y) * tilesPerBlock + i) * greedyColumns;
    if (first >= given.vocabulary) break;
    const int32_t columns =
        given.vocabulary - first < greedyColumns ? given.vocabulary - first : greedyColumns;
    product(firstRow, first, columns);
    __syncthreads();
    share.look(tile, first, columns);
    __syncthreads();  // the next product overwrites the tile
  }
  share.write();
}

template <DType computeDtype>
__global__ void __launch_bounds__(matmulThreads) greedyKernel(GreedyArguments given) {
  awaitPredecessors();
  auto& shared = *reinterpret_cast<MatmulMemory<1>*>(sharedMemory());
  auto* tile = reinterpret_cast<float*>(sharedMemory());  // reuses the memory of the matmul
  scoreTiles<matmulThreads, tileRows>(given, tile, [&](int64_t firstRow, int32_t first, int32_t columns) {
    const WeightTile weights[1] = {given.lmHead.from(first)};
    Sums sums[1];
    const int64_t row = firstRow + threadIdx.x / 4;
    multiplyTile<1, computeDtype>(shared, given.x, row < given.x.validRowCount() ? row : -1, weights, columns,
                                  sums);
    __syncthreads();
    for (int i = 0; i < 4; ++i)
      for (int j = 0; j < 4; ++j)
        tile[(threadIdx.x / 16 * 4 + i) * tileStride + threadIdx.x % 16 * 4 + j] = sums[0][i][j];
  });
}

template <int rows, DType type, DType stored>
__global__ void __launch_bounds__(mmaThreads<rows>) greedyMmaKernel(GreedyArguments given) {
  awaitPredecessors();
  using Weights = MmaWeightsIn<stored, 1, rows>;
  auto& shared = *reinterpret_cast<typename Weights::Memory*>(sharedMemory());
  auto* tile = reinterpret_cast<float*>(sharedMemory());
  scoreTiles<mmaThreads<rows>, rows>(given, tile, [&](int64_t firstRow, int32_t first, int32_t columns) {
    const WeightTile weights[1] = {given.lmHead.from(first)};
    MmaSums<1, rows> sums;
    const Weights stream(shared, weights, columns, given.x.columns);
    stream.prefetch();
    multiplyMmaTile<type>(stream, given.x, RowsFrom{firstRow, given.x.validRowCount()}, sums);
    __syncthreads();
    forEachMmaResult<rows>(
        [&](int r, int c, int n, int i) { tile[r * tileStride + c] = sums[0][n].values[i]; });
  });
}

__global__ void __launch_bounds__(joinThreads) joinKernel(GreedyArguments given) {
  awaitPredecessors();
  const int lane = static_cast<int>(threadIdx.x) % 32;
  const int64_t row = int64_t{blockIdx.x} * (joinThreads / 32) + threadIdx.x / 32;
  if (row >= given.x.validRowCount()) return;
  const ScoreRow scored = given.rows[row];
  Score score;
  if (!scored.predicted) {
    score = unpredicted(scored);
  } else {
    GreedyPartial partial;
    for (int32_t part = lane; part < given.parts; part += 32)
      merge(partial, given.partials[row * given.parts + part]);
    for (int bits = 16; bits > 0; bits /= 2) mergeLanes(partial, bits);
    score.finite = partial.bad == 0 && partial.maximum > -INFINITY;
    if (score.finite) {
      const double logSum = log(partial.sum);
      score.token = partial.token;
      score.confidence = static_cast<float>(-logSum);
      score.entropy = static_cast<float>(logSum - partial.weighted / partial.sum);
      score.margin =
          static_cast<float>((1 - exp(static_cast<double>(partial.second) - partial.maximum)) / partial.sum);
    }
  }
  if (lane == 0) given.scores[row] = score;
}

/** Blocks that share a part of the LM head are adjacent, so that it is read from memory once. */
dim3 gridOf(const GreedyArguments& given, int rows) {
  return {blocksFor(given.x.rows, rows), static_cast<unsigned>(given.parts)};
}

/** Two threads look at a row of a tile, whatever its size. */
template <int rows>
void launchMma(cudaStream_t stream, DType computeDtype, const GreedyArguments& given) {
  dispatchMma(computeDtype, given.lmHead.dtype, [&]<DType type, DType stored>() {
    constexpr size_t memory = sizeof(typename MmaWeightsIn<stored, 1, rows>::Memory);
    static_assert(mmaThreads<rows> == 2 * rows && rows * tileStride * sizeof(float) <= memory);
    const Grid grid{gridOf(given, rows), mmaThreads<rows>, memory};
    launchEarly(stream, "score (greedy)", grid, greedyMmaKernel<rows, type, stored>, given);
  });
}

}  // namespace

int64_t greedyParts(int64_t vocabulary) {
  return (vocabulary + tilesPerBlock * greedyColumns - 1) / (tilesPerBlock * greedyColumns);
}

void scoreGreedy(cudaStream_t stream, DType computeDtype, Tensor x, const Weight& lmHead,
                 const ScoreRow* rows, const SamplingPlan* plans, GreedyPartial* partials, Score* scores) {
  const auto parts = static_cast<int32_t>(greedyParts(lmHead.rows));
  const GreedyArguments given{
      x, WeightTile::of(lmHead), static_cast<int32_t>(lmHead.rows), rows, plans, partials, parts, scores};
  if (x.dtype != DType::f32 && suitsMma(computeDtype, lmHead)) {
    if (x.rows <= 64) {
      launchMma<64>(stream, computeDtype, given);
    } else {
      launchMma<128>(stream, computeDtype, given);
    }
  } else {
    constexpr size_t tileBytes = tileRows * tileStride * sizeof(float);
    const Grid grid{gridOf(given, tileRows), matmulThreads, std::max(sizeof(MatmulMemory<1>), tileBytes)};
    dispatchDType(computeDtype, [&]<DType type>() {
      launchEarly(stream, "score (greedy)", grid, greedyKernel<type>, given);
    });
  }
  launchEarly(stream, "score (join)", {dim3(blocksFor(x.rows, joinThreads / 32)), joinThreads}, joinKernel,
              given);
}

}  // namespace rnd1::cuda
