#pragma once

#include "backend/cuda/device/exponential.h"
#include "backend/cuda/device/reduce.h"
#include "backend/cuda/kernels.h"
#include "backend/cuda/mma_tile.h"

/** What the threads of a block find out about tiles of logits of greedy scores. */
namespace rnd1::cuda {

// The division of a row's tokens, and so the order of its sums, must not depend on other rows.
constexpr int greedyColumns = 64;
constexpr int tilesPerBlock = 4;
constexpr int tileStride = greedyColumns + 1;

static_assert(greedyColumns == mmaColumns);

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

  /** Writes the result for a part of the vocabulary. */
  __device__ void write(int32_t vocabularyPart) {
    for (int bits = threadsPerRow / 2; bits > 0; bits /= 2) mergeLanes(partial, bits);
    if (wanted && part == 0) given.partials[row * given.parts + vocabularyPart] = partial;
  }
};

/** The scores of a launch in clusters of blocks, but for their join. */
void scoreInClusters(cudaStream_t stream, DType computeDtype, const GreedyArguments& given,
                     const Weight& lmHead);

}  // namespace rnd1::cuda
