// Bidirectional attention in f32 and for any head size: 16 queries of one head at a time against tiles of 32
// keys, with an online softmax. Scores exist per tile only. attention_mma.cu is the tensor core version.
#include "backend/cuda/attention.h"
#include "backend/cuda/device/numbers.h"
#include "backend/cuda/device/reduce.h"
#include "backend/cuda/device/shared.h"
#include "backend/cuda/device/tiles.h"
#include "backend/cuda/device/visible_keys.h"
#include "backend/cuda/kernels.h"
#include "backend/cuda/launch.h"

namespace rnd1::cuda {
namespace {

constexpr int queryTile = 16;
constexpr int keyTile = 32;
constexpr int attentionThreads = 128;
constexpr int threadsPerQuery = attentionThreads / queryTile;  // adjacent lanes of a warp

/** Shared memory, in floats: queries and sums (16, head), a tile of keys, later of values (32, head + 1),
 * and probabilities (16, 32). */
constexpr int64_t sharedFloats(int64_t headDim) {
  return 2 * queryTile * headDim + keyTile * (headDim + 1) + queryTile * (keyTile + 1);
}

/** Loads rows of one head into shared memory, `stride` floats apart; zeros after `rows`. */
__device__ __forceinline__ void loadRows(const Tensor& source, int64_t firstRow, int32_t rows, int64_t column,
                                         int64_t headDim, int32_t tile, int64_t stride, float* destination) {
  for (int64_t i = threadIdx.x; i < tile * headDim; i += attentionThreads) {
    const int64_t row = i / headDim, d = i % headDim;
    destination[row * stride + d] = row < rows ? source.row(firstRow + row)[column + d] : 0.0f;
  }
}

template <DType computeDtype>
__global__ void __launch_bounds__(attentionThreads) attentionKernel(AttentionArguments given) {
  const int64_t headDim = given.layout.headDim, stride = headDim + 1;
  auto* queries = reinterpret_cast<float*>(sharedMemory());
  float* sums = queries + queryTile * headDim;
  float* tile = sums + queryTile * headDim;
  float* probabilities = tile + keyTile * stride;

  const GroupTile mine = tileOf(given.queries.offsets, static_cast<int32_t>(given.queries.count),
                                static_cast<int32_t>(blockIdx.x), queryTile);
  if (mine.rows == 0) return;
  const int64_t head = blockIdx.y;
  const int64_t keyHead = head / (given.layout.heads / given.layout.keyValueHeads);
  const int32_t firstKey = given.keys.offsets[mine.group];
  const VisibleKeys visibleKeys(given, mine);
  const int32_t keys = visibleKeys.of(mine.rows - 1);
  const int query = static_cast<int>(threadIdx.x) / threadsPerQuery;
  const int part = static_cast<int>(threadIdx.x) % threadsPerQuery;

  loadRows(given.query, mine.firstRow, mine.rows, head * headDim, headDim, queryTile, headDim, queries);
  for (int64_t d = part; d < headDim; d += threadsPerQuery) sums[query * headDim + d] = 0;
  float maximum = -INFINITY, total = 0;
  const int32_t visible = visibleKeys.of(query);
  const auto amongNeighbours = [](float value, auto combine) {
    for (int bits = threadsPerQuery / 2; bits > 0; bits /= 2)
      value = combine(value, __shfl_xor_sync(allLanes, value, bits));
    return value;
  };

  for (int32_t first = 0; first < keys; first += keyTile) {
    const int32_t count = keys - first < keyTile ? keys - first : keyTile;
    __syncthreads();  // the previous tile's values have been read
    loadRows(given.key, firstKey + first, count, keyHead * headDim, headDim, keyTile, stride, tile);
    __syncthreads();
    float scores[keyTile / threadsPerQuery];
    float newMaximum = maximum;
    for (int i = 0; i < keyTile / threadsPerQuery; ++i) {
      const int key = part + i * threadsPerQuery;
      float score = 0;
      for (int64_t d = 0; d < headDim; ++d) score += queries[query * headDim + d] * tile[key * stride + d];
      scores[i] = key < count && first + key < visible ? score * given.scale : -INFINITY;
      newMaximum = fmaxf(newMaximum, scores[i]);
    }
    newMaximum = amongNeighbours(newMaximum, [](float a, float b) { return fmaxf(a, b); });
    float sum = 0;
    for (int i = 0; i < keyTile / threadsPerQuery; ++i) {
      const float probability = expf(scores[i] - newMaximum);
      sum += probability;
      probabilities[query * (keyTile + 1) + part + i * threadsPerQuery] = rounded<computeDtype>(probability);
    }
    sum = amongNeighbours(sum, [](float a, float b) { return a + b; });
    // The first tile has nothing to rescale, and −∞ − −∞ would be NaN.
    const float correction = first == 0 ? 0.0f : expf(maximum - newMaximum);
    total = total * correction + sum;
    maximum = newMaximum;
    __syncthreads();  // the keys have been read
    loadRows(given.value, firstKey + first, count, keyHead * headDim, headDim, keyTile, stride, tile);
    __syncthreads();
    for (int64_t d = part; d < headDim; d += threadsPerQuery) {
      float value = sums[query * headDim + d] * correction;
      for (int key = 0; key < count; ++key)
        value += probabilities[query * (keyTile + 1) + key] * tile[key * stride + d];
      sums[query * headDim + d] = value;
    }
  }
  if (query >= mine.rows) return;
  float* out = given.out.row(mine.firstRow + query) + head * headDim;
  for (int64_t d = part; d < headDim; d += threadsPerQuery)
    out[d] = rounded<computeDtype>(sums[query * headDim + d] / total);
  if (given.logSumExp && part == 0)
    given.logSumExp[(mine.firstRow + query) * given.layout.heads + head] = maximum + logf(total);
}

}  // namespace

void attentionAnyHead(cudaStream_t stream, DType computeDtype, const AttentionArguments& given) {
  const HeadLayout& layout = given.layout;
  const Grid grid{dim3(static_cast<unsigned>(maxTiles(given.query.rows, given.queries.count, queryTile)),
                       static_cast<unsigned>(layout.heads)),
                  attentionThreads, static_cast<size_t>(sharedFloats(layout.headDim)) * sizeof(float)};
  dispatchDType(computeDtype,
                [&]<DType type>() { launch(stream, "attention", grid, attentionKernel<type>, given); });
}

}  // namespace rnd1::cuda
