// Greedy scores (argmax, log-probability, entropy, margin) of x · headᵀ without the logits: every block of
// the matmul processes its tiles of the vocabulary and keeps only running maxima and sums; a second kernel
// merges the results of the blocks.

#include <algorithm>

#include "backend/cuda/device/dependent_launch.h"
#include "backend/cuda/device/shared.h"
#include "backend/cuda/greedy_rows.h"
#include "backend/cuda/launch.h"
#include "backend/cuda/matmul_tile.h"
#include "backend/cuda/mma_tile.h"
#include "backend/cuda/quantized_tile.h"

namespace rnd1::cuda {
namespace {

constexpr int joinThreads = 128;  // four warps, one row each

static_assert(greedyColumns == tileColumns);

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
  share.write(static_cast<int32_t>(blockIdx.y));
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

// Otherwise some registers of fp8 are spilled for a fifth block, for which there is no shared memory.
template <int rows, DType stored>
constexpr int fewestBlocks = rows == 64 && stored == DType::fp8 ? 4 : 0;

template <int rows, DType type, DType stored>
__global__ void __launch_bounds__(mmaThreads<rows>, fewestBlocks<rows, stored>)
    greedyMmaKernel(GreedyArguments given) {
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

void scoreGreedy(cudaStream_t stream, DType computeDtype, bool clusters, Tensor x, const Weight& lmHead,
                 const ScoreRow* rows, const SamplingPlan* plans, GreedyPartial* partials, Score* scores) {
  const auto parts = static_cast<int32_t>(greedyParts(lmHead.rows));
  const GreedyArguments given{
      x, WeightTile::of(lmHead), static_cast<int32_t>(lmHead.rows), rows, plans, partials, parts, scores};
  if (x.dtype != DType::f32 && suitsMma(computeDtype, lmHead)) {
    if (x.rows <= 64) {
      launchMma<64>(stream, computeDtype, given);
    } else if (clusters) {
      scoreInClusters(stream, computeDtype, given, lmHead);
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
