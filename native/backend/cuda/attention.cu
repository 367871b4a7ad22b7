// Attention in f32 and for any head size: 16 queries of one head at a time against tiles of 32
// keys, with an online softmax. Scores exist per tile only. attention_mma.cu is the tensor core version.
#include "backend/cuda/attention.h"
#include "backend/cuda/device/dependent_launch.h"
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

/** Loads rows of one head, `from` elements apart, into shared memory, `to` floats apart; zeros after `rows`.
 */
template <DType type>
__device__ __forceinline__ void loadRows(const std::byte* source, int64_t from, int32_t rows, int64_t headDim,
                                         int32_t tile, int64_t to, float* destination) {
  for (int64_t i = threadIdx.x; i < tile * headDim; i += attentionThreads) {
    const int64_t row = i / headDim, d = i % headDim;
    destination[row * to + d] = row < rows ? element<type>(source, row * from + d) : 0.0f;
  }
}

/** Queries, keys or values of one canvas and head. */
struct HeadRows {
  const std::byte* data;
  int64_t stride;  // elements
  bool narrow;     // in the compute dtype, otherwise f32

  /** `rows` rows from `first` on, as a tile whose rows are `to` floats apart. */
  template <int tile, DType computeDtype>
  __device__ __forceinline__ void load(int32_t first, int32_t rows, int64_t headDim, int64_t to,
                                       float* destination) const {
    if (narrow) {
      loadRows<computeDtype>(data + first * stride * bytesOf<computeDtype>, stride, rows, headDim, tile, to,
                             destination);
    } else {
      loadRows<DType::f32>(data + first * stride * bytesOf<DType::f32>, stride, rows, headDim, tile, to,
                           destination);
    }
  }
};

__device__ __forceinline__ HeadRows headRows(const Tensor& tensor, int64_t row, int64_t column) {
  const bool narrow = tensor.dtype != DType::f32;
  return {bytesOfRow(tensor, row) + column * (narrow ? 2 : 4), tensor.stride, narrow};
}

/** `part`: 0 for keys, 1 for values. */
template <DType computeDtype>
__device__ __forceinline__ HeadRows keyRowsOf(const AttentionArguments& given, const Tensor& rows,
                                              const CanvasCache& cache, int64_t part, int32_t canvas,
                                              int64_t column) {
  if (!cache.data) return headRows(rows, given.rows.keys.offsets[canvas], column);
  const int64_t columns = rows.columns;
  return {given.rows.caches.keys(cache, bytesOf<computeDtype>) +
              (part * cache.positions * columns + column) * bytesOf<computeDtype>,
          columns, true};
}

template <DType computeDtype>
__global__ void __launch_bounds__(attentionThreads) attentionKernel(AttentionArguments given) {
  awaitPredecessors();
  const int64_t headDim = given.layout.headDim, stride = headDim + 1;
  auto* queries = reinterpret_cast<float*>(sharedMemory());
  float* sums = queries + queryTile * headDim;
  float* tile = sums + queryTile * headDim;
  float* probabilities = tile + keyTile * stride;

  const CanvasOffsets& canvases = given.rows.queries;
  const GroupTile mine = tileOf(canvases.offsets, static_cast<int32_t>(canvases.count),
                                static_cast<int32_t>(blockIdx.x), queryTile);
  if (mine.rows == 0) return;
  const int64_t head = blockIdx.y;
  const int64_t keyColumn = head / (given.layout.heads / given.layout.keyValueHeads) * headDim;
  const CanvasCache cache = cacheOf(given.rows.caches, mine.group);
  const HeadRows keyRows = keyRowsOf<computeDtype>(given, given.key, cache, 0, mine.group, keyColumn);
  const HeadRows valueRows = keyRowsOf<computeDtype>(given, given.value, cache, 1, mine.group, keyColumn);
  const VisibleKeys visibleKeys(given, mine, cache);
  const int32_t keys = visibleKeys.all();
  const int query = static_cast<int>(threadIdx.x) / threadsPerQuery;
  const int part = static_cast<int>(threadIdx.x) % threadsPerQuery;

  headRows(given.query, mine.firstRow, head * headDim)
      .template load<queryTile, computeDtype>(0, mine.rows, headDim, headDim, queries);
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
    keyRows.template load<keyTile, computeDtype>(first, count, headDim, stride, tile);
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
    valueRows.template load<keyTile, computeDtype>(first, count, headDim, stride, tile);
    __syncthreads();
    for (int64_t d = part; d < headDim; d += threadsPerQuery) {
      float value = sums[query * headDim + d] * correction;
      for (int key = 0; key < count; ++key)
        value += probabilities[query * (keyTile + 1) + key] * tile[key * stride + d];
      sums[query * headDim + d] = value;
    }
  }
  if (query >= mine.rows) return;
  for (int64_t d = part; d < headDim; d += threadsPerQuery)
    setRounded<computeDtype>(given.out, mine.firstRow + query, head * headDim + d,
                             sums[query * headDim + d] / total);
  if (given.logSumExp && part == 0)
    given.logSumExp[(mine.firstRow + query) * given.layout.heads + head] = maximum + logf(total);
}

}  // namespace

void attentionAnyHead(cudaStream_t stream, DType computeDtype, const AttentionArguments& given) {
  const HeadLayout& layout = given.layout;
  const Grid grid{dim3(static_cast<unsigned>(maxTiles(given.query.rows, given.rows.queries.count, queryTile)),
                       static_cast<unsigned>(layout.heads)),
                  attentionThreads, static_cast<size_t>(sharedFloats(layout.headDim)) * sizeof(float)};
  dispatchDType(computeDtype,
                [&]<DType type>() { launchEarly(stream, "attention", grid, attentionKernel<type>, given); });
}

}  // namespace rnd1::cuda
