// Gradients of attention, for any head size: a block owns the queries of a tile, or its keys and values, and
// computes the probabilities again from the log-sum-exp. Scores exist per tile only.
#include "backend/cuda/device/reduce.h"
#include "backend/cuda/device/shared.h"
#include "backend/cuda/device/tiles.h"
#include "backend/cuda/launch.h"
#include "backend/cuda/training/kernels.h"

namespace rnd1::cuda {
namespace {

constexpr int queryTile = 16;
constexpr int attentionThreads = 128;

struct Arguments {
  Tensor qkv, out, dout, dQkv;
  const float* logSumExp;  // (rows, heads)
  float* rowDots;          // (rows, heads)
  HeadLayout layout;
  CanvasOffsets canvases;
  AttentionMask mask;
  float scale;

  __device__ int64_t group() const { return layout.heads / layout.keyValueHeads; }
  __device__ int64_t keyColumn(int64_t head) const { return (layout.heads + head) * layout.headDim; }
  __device__ int64_t valueColumn(int64_t head) const {
    return keyColumn(head) + layout.keyValueHeads * layout.headDim;
  }
};

/** A warp per row and head: Σ dout ∘ out. */
__global__ void __launch_bounds__(attentionThreads) rowDotsKernel(Arguments given) {
  const int64_t index = int64_t{blockIdx.x} * (attentionThreads / 32) + threadIdx.x / 32;
  const int64_t heads = given.layout.heads, headDim = given.layout.headDim;
  if (index >= given.out.rows * heads) return;
  const int64_t row = index / heads, column = index % heads * headDim;
  float sum = 0;
  for (int64_t i = threadIdx.x % 32; i < headDim; i += 32)
    sum += given.dout.row(row)[column + i] * given.out.row(row)[column + i];
  sum = warpSum(sum);
  if (threadIdx.x % 32 == 0) given.rowDots[index] = sum;
}

/** Tiles of rows of one head, headDim + 1 floats apart. */
struct HeadTile {
  float* data;
  int64_t headDim;

  __device__ float* row(int64_t index) const { return data + index * (headDim + 1); }
  /** Rows [first, first + rows) of a tensor from a column on; zeros up to `tile`. */
  __device__ void load(Tensor from, int64_t first, int64_t rows, int64_t tile, int64_t column) const {
    for (int64_t i = threadIdx.x; i < tile * headDim; i += attentionThreads) {
      const int64_t r = i / headDim, d = i % headDim;
      row(r)[d] = r < rows ? from.row(first + r)[column + d] : 0.0f;
    }
  }
  __device__ void clear(int64_t tile) const {
    for (int64_t i = threadIdx.x; i < tile * (headDim + 1); i += attentionThreads) data[i] = 0;
  }
  __device__ void store(Tensor to, int64_t first, int64_t rows, int64_t column) const {
    for (int64_t i = threadIdx.x; i < rows * headDim; i += attentionThreads)
      to.row(first + i / headDim)[column + i % headDim] = row(i / headDim)[i % headDim];
  }
};

/** Shared memory of both kernels: tiles of rows, then probabilities and their gradients. */
template <int keyTile>
struct Memory {
  HeadTile queries, douts, keys, values, first, second;
  float *probabilities, *gradients;  // (queryTile, keyTile + 1)

  /** `sums`: rows of the tiles `first` and `second`. */
  __device__ Memory(float* memory, int64_t headDim, int64_t firstRows, int64_t secondRows) {
    const auto take = [&](int64_t rows) {
      const HeadTile tile{memory, headDim};
      memory += rows * (headDim + 1);
      return tile;
    };
    queries = take(queryTile);
    douts = take(queryTile);
    keys = take(keyTile);
    values = take(keyTile);
    first = take(firstRows);
    second = take(secondRows);
    probabilities = memory;
    gradients = memory + queryTile * (keyTile + 1);
  }

  static constexpr size_t bytes(int64_t headDim, int64_t sumRows) {
    return static_cast<size_t>((2 * queryTile + 2 * keyTile + sumRows) * (headDim + 1) +
                               2 * queryTile * (keyTile + 1)) *
           sizeof(float);
  }

  /** Probabilities and gradients of the scores of a tile of queries and one of keys of their canvas. */
  __device__ void scores(const Arguments& given, int64_t canvasRow, int32_t length, int64_t head,
                         int32_t firstQuery, int32_t firstKey) const {
    for (int i = static_cast<int>(threadIdx.x); i < queryTile * keyTile; i += attentionThreads) {
      const int query = i / keyTile, key = i % keyTile;
      const int32_t position = firstQuery + query;
      float probability = 0, gradient = 0;
      if (position < length && firstKey + key < given.mask.visible(position, length)) {
        float score = 0, product = 0;
        for (int64_t d = 0; d < queries.headDim; ++d) {
          score += queries.row(query)[d] * keys.row(key)[d];
          product += douts.row(query)[d] * values.row(key)[d];
        }
        const int64_t at = (canvasRow + position) * given.layout.heads + head;
        probability = expf(score * given.scale - given.logSumExp[at]);
        gradient = probability * (product - given.rowDots[at]) * given.scale;
      }
      probabilities[query * (keyTile + 1) + key] = probability;
      gradients[query * (keyTile + 1) + key] = gradient;
    }
  }
};

template <int keyTile>
__global__ void __launch_bounds__(attentionThreads) keysKernel(Arguments given) {
  const int64_t headDim = given.layout.headDim, keyHead = blockIdx.y;
  const Memory<keyTile> memory(reinterpret_cast<float*>(sharedMemory()), headDim, keyTile, keyTile);
  const GroupTile tile = tileOf(given.canvases.offsets, static_cast<int32_t>(given.canvases.count),
                                static_cast<int32_t>(blockIdx.x), keyTile);
  if (tile.rows == 0) return;
  const int64_t canvasRow = given.canvases.offsets[tile.group];
  const auto length = static_cast<int32_t>(given.canvases.offsets[tile.group + 1] - canvasRow);
  const HeadTile &dKeys = memory.first, &dValues = memory.second;
  memory.keys.load(given.qkv, tile.firstRow, tile.rows, keyTile, given.keyColumn(keyHead));
  memory.values.load(given.qkv, tile.firstRow, tile.rows, keyTile, given.valueColumn(keyHead));
  dKeys.clear(keyTile);
  dValues.clear(keyTile);
  for (int64_t head = keyHead * given.group(); head < (keyHead + 1) * given.group(); ++head)
    for (int32_t first = 0; first < length; first += queryTile) {
      const int32_t queries = min(queryTile, length - first);
      if (given.mask.visible(first + queries - 1, length) <= tile.offset) continue;
      __syncthreads();  // the previous tile has been read
      memory.queries.load(given.qkv, canvasRow + first, queries, queryTile, head * headDim);
      memory.douts.load(given.dout, canvasRow + first, queries, queryTile, head * headDim);
      __syncthreads();
      memory.scores(given, canvasRow, length, head, first, tile.offset);
      __syncthreads();
      for (int64_t i = threadIdx.x; i < keyTile * headDim; i += attentionThreads) {
        const int64_t key = i / headDim, d = i % headDim;
        float dKey = 0, dValue = 0;
        for (int query = 0; query < queryTile; ++query) {
          dValue += memory.probabilities[query * (keyTile + 1) + key] * memory.douts.row(query)[d];
          dKey += memory.gradients[query * (keyTile + 1) + key] * memory.queries.row(query)[d];
        }
        dValues.row(key)[d] += dValue;
        dKeys.row(key)[d] += dKey;
      }
    }
  __syncthreads();
  dKeys.store(given.dQkv, tile.firstRow, tile.rows, given.keyColumn(keyHead));
  dValues.store(given.dQkv, tile.firstRow, tile.rows, given.valueColumn(keyHead));
}

template <int keyTile>
__global__ void __launch_bounds__(attentionThreads) queriesKernel(Arguments given) {
  const int64_t headDim = given.layout.headDim, head = blockIdx.y, keyHead = head / given.group();
  const Memory<keyTile> memory(reinterpret_cast<float*>(sharedMemory()), headDim, queryTile, 0);
  const GroupTile tile = tileOf(given.canvases.offsets, static_cast<int32_t>(given.canvases.count),
                                static_cast<int32_t>(blockIdx.x), queryTile);
  if (tile.rows == 0) return;
  const int64_t canvasRow = given.canvases.offsets[tile.group];
  const auto length = static_cast<int32_t>(given.canvases.offsets[tile.group + 1] - canvasRow);
  const HeadTile& dQueries = memory.first;
  memory.queries.load(given.qkv, tile.firstRow, tile.rows, queryTile, head * headDim);
  memory.douts.load(given.dout, tile.firstRow, tile.rows, queryTile, head * headDim);
  dQueries.clear(queryTile);
  const int32_t visible = given.mask.visible(tile.offset + tile.rows - 1, length);
  for (int32_t first = 0; first < visible; first += keyTile) {
    const int32_t keys = min(keyTile, length - first);
    __syncthreads();  // the previous tile has been read
    memory.keys.load(given.qkv, canvasRow + first, keys, keyTile, given.keyColumn(keyHead));
    memory.values.load(given.qkv, canvasRow + first, keys, keyTile, given.valueColumn(keyHead));
    __syncthreads();
    memory.scores(given, canvasRow, length, head, tile.offset, first);
    __syncthreads();
    for (int64_t i = threadIdx.x; i < queryTile * headDim; i += attentionThreads) {
      const int64_t query = i / headDim, d = i % headDim;
      float sum = 0;
      for (int key = 0; key < keyTile; ++key)
        sum += memory.gradients[query * (keyTile + 1) + key] * memory.keys.row(key)[d];
      dQueries.row(query)[d] += sum;
    }
  }
  __syncthreads();
  dQueries.store(given.dQkv, tile.firstRow, tile.rows, head * headDim);
}

template <int keyTile>
void run(cudaStream_t stream, const Arguments& given) {
  const int64_t rows = given.qkv.rows, canvases = given.canvases.count, headDim = given.layout.headDim;
  const auto grid = [&](int64_t tileRows, int64_t heads, int64_t sumRows) {
    return Grid{dim3(static_cast<unsigned>(maxTiles(rows, canvases, tileRows)), static_cast<unsigned>(heads)),
                attentionThreads, Memory<keyTile>::bytes(headDim, sumRows)};
  };
  launch(stream, "attention (keys, backward)", grid(keyTile, given.layout.keyValueHeads, 2 * keyTile),
         keysKernel<keyTile>, given);
  launch(stream, "attention (queries, backward)", grid(queryTile, given.layout.heads, queryTile),
         queriesKernel<keyTile>, given);
}

}  // namespace

void attentionBackward(cudaStream_t stream, Tensor qkv, Tensor out, const float* logSumExp, Tensor dout,
                       const HeadLayout& layout, CanvasOffsets canvases, AttentionMask mask, float scale,
                       Tensor dQkv, float* rowDots) {
  const Arguments given{qkv, out, dout, dQkv, logSumExp, rowDots, layout, canvases, mask, scale};
  launch(stream, "attention (dots, backward)",
         {dim3(blocksFor(out.rows * layout.heads, attentionThreads / 32)), attentionThreads}, rowDotsKernel,
         given);
  if (Memory<32>::bytes(layout.headDim, 64) <= ordinarySharedBytes) {
    run<32>(stream, given);
  } else {
    run<16>(stream, given);
  }
}

}  // namespace rnd1::cuda
