// Attention on tensor cores (the tiling of FlashAttention-2: Dao, 2023): a block has 64 queries
// of one head, a warp 16 of them with all their sums in registers; keys and values stream through in tiles of
// 64, the next one being copied while one is used.
#include "backend/cuda/attention.h"
#include "backend/cuda/device/copy.h"
#include "backend/cuda/device/mma.h"
#include "backend/cuda/device/numbers.h"
#include "backend/cuda/device/reduce.h"
#include "backend/cuda/device/shared.h"
#include "backend/cuda/device/tiles.h"
#include "backend/cuda/device/visible_keys.h"
#include "backend/cuda/kernels.h"
#include "backend/cuda/launch.h"

namespace rnd1::cuda {
namespace {

constexpr int queryTile = 64;
constexpr int keyTile = 64;
constexpr int attentionThreads = 128;

/** Queries, keys and values in 16 bits. */
struct NarrowHeads {
  Narrow query, key, value;
};

/** Starts copying 64 rows of one head into shared memory; zeros after `rows`. */
template <int headDim>
__device__ __forceinline__ void copyHead(const Narrow& source, int64_t firstRow, int32_t rows, int64_t column,
                                         uint16_t* tile) {
  constexpr int chunks = headDim / 8;
  for (int i = static_cast<int>(threadIdx.x); i < keyTile * chunks; i += attentionThreads) {
    const int row = i / chunks, chunk = i % chunks;
    const bool there = row < rows;
    copyAsync16(tile + swizzled<headDim>(row, chunk),
                source.data + (there ? (firstRow + row) * source.stride + column + chunk * 8 : 0),
                there ? 16 : 0);
  }
}

/** Reduces over the four lanes that share a row of a FragmentC. */
template <typename Combine>
__device__ __forceinline__ float amongRow(float value, Combine combine) {
  value = combine(value, __shfl_xor_sync(allLanes, value, 1));
  return combine(value, __shfl_xor_sync(allLanes, value, 2));
}

template <int headDim, DType type>
__global__ void __launch_bounds__(attentionThreads)
    attentionMmaKernel(AttentionArguments given, NarrowHeads heads) {
  constexpr int headSteps = headDim / 16, headTiles = headDim / 8, keyTiles = keyTile / 8;
  // Two tiles of keys, two of values; queries start in the second tile of keys.
  auto* memory = reinterpret_cast<uint16_t*>(sharedMemory());
  const auto keysOf = [&](int32_t tile) { return memory + tile % 2 * keyTile * headDim; };
  const auto valuesOf = [&](int32_t tile) { return memory + (2 + tile % 2) * keyTile * headDim; };

  const CanvasOffsets& canvases = given.rows.queries;
  const GroupTile mine = tileOf(canvases.offsets, static_cast<int32_t>(canvases.count),
                                static_cast<int32_t>(blockIdx.x), queryTile);
  if (mine.rows == 0) return;
  const int64_t head = blockIdx.y;
  const int64_t keyColumn = head / (given.layout.heads / given.layout.keyValueHeads) * headDim;
  const CanvasCache cache = cacheOf(given.rows.caches, mine.group);
  const VisibleKeys visibleKeys(given, mine, cache);
  const int32_t keyCount = visibleKeys.all();
  Narrow keyRows = heads.key, valueRows = heads.value;
  int32_t firstKey = 0;
  if (cache.data) {
    keyRows.data = reinterpret_cast<uint16_t*>(given.rows.caches.keys(cache, sizeof(uint16_t)));
    valueRows.data = keyRows.data + cache.positions * keyRows.stride;
  } else {
    firstKey = given.rows.keys.offsets[mine.group];
  }
  const int lane = static_cast<int>(threadIdx.x) % 32, warp = static_cast<int>(threadIdx.x) / 32;

  const auto fetch = [&](int32_t tile) {
    const int32_t first = tile * keyTile;
    if (first < keyCount) {
      const int32_t count = keyCount - first < keyTile ? keyCount - first : keyTile;
      copyHead<headDim>(keyRows, firstKey + first, count, keyColumn, keysOf(tile));
      copyHead<headDim>(valueRows, firstKey + first, count, keyColumn, valuesOf(tile));
    }
    commitCopies();
  };
  copyHead<headDim>(heads.query, mine.firstRow, mine.rows, head * headDim, keysOf(1));
  commitCopies();
  fetch(0);
  waitCopies<1>();
  __syncthreads();
  FragmentA query[headSteps];
  for (int step = 0; step < headSteps; ++step)
    loadMatrices(keysOf(1) + swizzled<headDim>(warp * 16 + lane % 16, step * 2 + lane / 16),
                 query[step].registers);

  FragmentC sums[headTiles] = {};
  float maximum[2] = {-INFINITY, -INFINITY}, total[2] = {0, 0};  // for rows lane / 4 and lane / 4 + 8
  const int row = warp * 16 + lane / 4;
  const int32_t visible[2] = {visibleKeys.of(row), visibleKeys.of(row + 8)};
  for (int32_t tile = 0; tile * keyTile < keyCount; ++tile) {
    const int32_t first = tile * keyTile;
    const int32_t count = keyCount - first < keyTile ? keyCount - first : keyTile;
    waitCopies<0>();
    // After it, all threads see this tile, and none still reads the previous one or the queries.
    __syncthreads();
    fetch(tile + 1);
    const uint16_t *keys = keysOf(tile), *values = valuesOf(tile);

    FragmentC scores[keyTiles] = {};
    for (int step = 0; step < headSteps; ++step)
      for (int n = 0; n < keyTiles; n += 2) {
        uint32_t four[4];
        loadMatrices(keys + swizzled<headDim>(n * 8 + lane / 16 * 8 + lane % 8, step * 2 + lane / 8 % 2),
                     four);
        multiplyAccumulate<type>(scores[n], query[step], {{four[0], four[1]}});
        multiplyAccumulate<type>(scores[n + 1], query[step], {{four[2], four[3]}});
      }

    float newMaximum[2] = {maximum[0], maximum[1]};
    for (int n = 0; n < keyTiles; ++n)
      for (int i = 0; i < 4; ++i) {
        float& score = scores[n].values[i];
        const int key = n * 8 + lane % 4 * 2 + i % 2;
        score = key < count && first + key < visible[i / 2] ? score * given.scale : -INFINITY;
        newMaximum[i / 2] = fmaxf(newMaximum[i / 2], score);
      }
    float correction[2], sum[2] = {0, 0};
    for (int r = 0; r < 2; ++r) {
      newMaximum[r] = amongRow(newMaximum[r], [](float a, float b) { return fmaxf(a, b); });
      // The first tile has nothing to rescale, and −∞ − −∞ would be NaN.
      correction[r] = first == 0 ? 0.0f : expf(maximum[r] - newMaximum[r]);
      maximum[r] = newMaximum[r];
    }
    for (int n = 0; n < keyTiles; ++n)
      for (int i = 0; i < 4; ++i) {
        float& score = scores[n].values[i];
        score = expf(score - maximum[i / 2]);
        sum[i / 2] += score;
      }
    for (int r = 0; r < 2; ++r)
      total[r] = total[r] * correction[r] + amongRow(sum[r], [](float a, float b) { return a + b; });
    for (int n = 0; n < headTiles; ++n)
      for (int i = 0; i < 4; ++i) sums[n].values[i] *= correction[i / 2];

    // A pair of score tiles has the layout of the first operand of the next mma.
    for (int step = 0; step < keyTile / 16; ++step) {
      const FragmentC &low = scores[step * 2], &high = scores[step * 2 + 1];
      const FragmentA probabilities{
          {pack<type>(low.values[0], low.values[1]), pack<type>(low.values[2], low.values[3]),
           pack<type>(high.values[0], high.values[1]), pack<type>(high.values[2], high.values[3])}};
      for (int n = 0; n < headTiles; n += 2) {
        uint32_t four[4];
        loadMatricesTransposed(
            values + swizzled<headDim>(step * 16 + lane / 8 % 2 * 8 + lane % 8, n + lane / 16), four);
        multiplyAccumulate<type>(sums[n], probabilities, {{four[0], four[1]}});
        multiplyAccumulate<type>(sums[n + 1], probabilities, {{four[2], four[3]}});
      }
    }
  }

  for (int r = 0; r < 2; ++r) {
    const int query = row + r * 8;
    if (query >= mine.rows) continue;
    float* out = given.out.row(mine.firstRow + query) + head * headDim;
    for (int n = 0; n < headTiles; ++n)
      for (int i = 0; i < 2; ++i)
        out[n * 8 + lane % 4 * 2 + i] = rounded<type>(sums[n].values[r * 2 + i] / total[r]);
    if (given.logSumExp && lane % 4 == 0)
      given.logSumExp[(mine.firstRow + query) * given.layout.heads + head] = maximum[r] + logf(total[r]);
  }
}

template <int headDim, DType type>
void launchHead(cudaStream_t stream, const AttentionArguments& given, const NarrowHeads& heads) {
  const Grid grid{dim3(static_cast<unsigned>(maxTiles(given.query.rows, given.rows.queries.count, queryTile)),
                       static_cast<unsigned>(given.layout.heads)),
                  attentionThreads, 4 * keyTile * headDim * sizeof(uint16_t)};
  launch(stream, "attention", grid, attentionMmaKernel<headDim, type>, given, heads);
}

}  // namespace

int64_t attentionScratch(const AttentionArguments& given) {
  return given.query.rows * given.layout.queryColumns() + 2 * given.key.rows * given.layout.keyValueColumns();
}

void attentionMma(cudaStream_t stream, DType computeDtype, const AttentionArguments& given,
                  uint16_t* scratch) {
  const int64_t queryColumns = given.layout.queryColumns(), keyColumns = given.layout.keyValueColumns();
  NarrowHeads heads;
  heads.query = {scratch, queryColumns};
  heads.key = {scratch + given.query.rows * queryColumns, keyColumns};
  heads.value = {heads.key.data + given.key.rows * keyColumns, keyColumns};
  narrow(stream, computeDtype, given.query, heads.query);
  narrow(stream, computeDtype, given.key, heads.key);
  narrow(stream, computeDtype, given.value, heads.value);
  const bool wide = given.layout.headDim == 128;
  if (computeDtype == DType::bf16) {
    wide ? launchHead<128, DType::bf16>(stream, given, heads)
         : launchHead<64, DType::bf16>(stream, given, heads);
  } else {
    wide ? launchHead<128, DType::f16>(stream, given, heads)
         : launchHead<64, DType::f16>(stream, given, heads);
  }
}

}  // namespace rnd1::cuda
