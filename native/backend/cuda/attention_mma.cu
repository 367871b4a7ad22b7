// Attention on tensor cores (the tiling of FlashAttention-2: Dao, 2023): a block has 64 queries
// of one head, a warp 16 of them with all their sums in registers; keys and values stream through in tiles of
// 64, the next one being copied while one is used.
#include "backend/cuda/attention.h"
#include "backend/cuda/device/copy.h"
#include "backend/cuda/device/dependent_launch.h"
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

/** This thread's share of copies of 64 rows of one head: 16 bytes of every `stride`-th row. */
template <int headDim>
struct HeadCopies {
  static constexpr int chunks = headDim / 8, stride = attentionThreads / chunks;
  static_assert(stride % 8 == 0, "a thread's rows have the same place in the pattern of swizzled()");

  const std::byte* data;  // this thread's part of the first row
  int64_t strideBytes;

  __device__ __forceinline__ HeadCopies(const uint16_t* head, int64_t rowStride)
      : data(reinterpret_cast<const std::byte*>(head + row() * rowStride + chunk() * 8)),
        strideBytes(rowStride * 2) {}

  /** Starts copying the rows from `first` on into shared memory; zeros after `count`. */
  __device__ __forceinline__ void copy(int32_t first, int32_t count, uint16_t* tile) const {
    const std::byte* source = data + first * strideBytes;
    for (int pass = 0; pass < keyTile / stride; ++pass) {
      copyAsync16(tile + swizzled<headDim>(row(), chunk()) + pass * stride * headDim, source,
                  row() + pass * stride < count ? 16 : 0);
      source += stride * strideBytes;
    }
  }

  __device__ __forceinline__ static int row() { return static_cast<int>(threadIdx.x) / chunks; }
  __device__ __forceinline__ static int chunk() { return static_cast<int>(threadIdx.x) % chunks; }
};

/** Reduces over the four lanes that share a row of a FragmentC. */
template <typename Combine>
__device__ __forceinline__ float amongRow(float value, Combine combine) {
  value = combine(value, __shfl_xor_sync(allLanes, value, 1));
  return combine(value, __shfl_xor_sync(allLanes, value, 2));
}

template <int headDim, DType type>
__global__ void __launch_bounds__(attentionThreads) attentionMmaKernel(AttentionArguments given) {
  awaitPredecessors();
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
  const auto keysFrom = [&](const Tensor& tensor, int64_t part) {
    const int64_t columns = tensor.columns;
    if (!cache.data)
      return HeadCopies<headDim>(halves(tensor, given.rows.keys.offsets[mine.group]) + keyColumn,
                                 tensor.stride);
    const auto* keys = reinterpret_cast<const uint16_t*>(given.rows.caches.keys(cache, sizeof(uint16_t)));
    return HeadCopies<headDim>(keys + part * cache.positions * columns + keyColumn, columns);
  };
  const HeadCopies<headDim> keyCopies = keysFrom(given.key, 0), valueCopies = keysFrom(given.value, 1);
  const int lane = static_cast<int>(threadIdx.x) % 32, warp = static_cast<int>(threadIdx.x) / 32;

  const auto fetch = [&](int32_t tile) {
    const int32_t first = tile * keyTile;
    if (first < keyCount) {
      const int32_t count = keyCount - first < keyTile ? keyCount - first : keyTile;
      keyCopies.copy(first, count, keysOf(tile));
      valueCopies.copy(first, count, valuesOf(tile));
    }
    commitCopies();
  };
  HeadCopies<headDim>(halves(given.query, mine.firstRow) + head * headDim, given.query.stride)
      .copy(0, mine.rows, keysOf(1));
  commitCopies();
  fetch(0);
  waitCopies<1>();
  __syncthreads();
  FragmentA query[headSteps];
  for (int step = 0; step < headSteps; ++step)
    loadMatrices(keysOf(1) + swizzled<headDim>(warp * 16 + lane % 16, step * 2 + lane / 16),
                 query[step].registers);

  FragmentC sums[headTiles] = {};
  // Scores without their scale, for rows lane / 4 and lane / 4 + 8; probabilities are powers of two.
  float maximum[2] = {-INFINITY, -INFINITY}, total[2] = {0, 0};
  const float scale = given.scale * 0x1.715476p+0f;
  const int row = warp * 16 + lane / 4;
  const int32_t visible[2] = {visibleKeys.of(row), visibleKeys.of(row + 8)};
  const int32_t seenByAll = visibleKeys.of(0);
  for (int32_t tile = 0; tile * keyTile < keyCount; ++tile) {
    const int32_t first = tile * keyTile;
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

    if (first + keyTile > seenByAll)
      for (int n = 0; n < keyTiles; ++n)
        for (int i = 0; i < 4; ++i) {
          const int32_t key = first + n * 8 + lane % 4 * 2 + i % 2;
          if (key >= keyCount || key >= visible[i / 2]) scores[n].values[i] = -INFINITY;
        }
    float newMaximum[2] = {maximum[0], maximum[1]};
    for (int n = 0; n < keyTiles; ++n)
      for (int i = 0; i < 4; ++i) newMaximum[i / 2] = fmaxf(newMaximum[i / 2], scores[n].values[i]);
    float correction[2], sum[2] = {0, 0};
    for (int r = 0; r < 2; ++r) {
      newMaximum[r] = amongRow(newMaximum[r], [](float a, float b) { return fmaxf(a, b); });
      // The first tile has nothing to rescale, and −∞ − −∞ would be NaN.
      correction[r] = first == 0 ? 0.0f : exp2f((maximum[r] - newMaximum[r]) * scale);
      maximum[r] = newMaximum[r];
    }
    for (int n = 0; n < keyTiles; ++n)
      for (int i = 0; i < 4; ++i) {
        float& score = scores[n].values[i];
        score = exp2f(fmaf(score, scale, -maximum[i / 2] * scale));
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
    const int64_t column = head * headDim + lane % 4 * 2;
    const float share = 1.0f / total[r];
    for (int n = 0; n < headTiles; ++n) {
      const float low = sums[n].values[r * 2] * share, high = sums[n].values[r * 2 + 1] * share;
      if (given.out.dtype == DType::f32) {
        float* out = given.out.row(mine.firstRow + query) + column + n * 8;
        out[0] = rounded<type>(low);
        out[1] = rounded<type>(high);
      } else {
        *reinterpret_cast<uint32_t*>(halves(given.out, mine.firstRow + query) + column + n * 8) =
            pack<type>(low, high);
      }
    }
    if (given.logSumExp && lane % 4 == 0)
      given.logSumExp[(mine.firstRow + query) * given.layout.heads + head] =
          maximum[r] * given.scale + logf(total[r]);
  }
}

template <int headDim, DType type>
void launchHead(cudaStream_t stream, const AttentionArguments& given) {
  const Grid grid{dim3(static_cast<unsigned>(maxTiles(given.query.rows, given.rows.queries.count, queryTile)),
                       static_cast<unsigned>(given.layout.heads)),
                  attentionThreads, 4 * keyTile * headDim * sizeof(uint16_t)};
  launchEarly(stream, "attention", grid, attentionMmaKernel<headDim, type>, given);
}

}  // namespace

void attentionMma(cudaStream_t stream, DType computeDtype, const AttentionArguments& given) {
  const bool wide = given.layout.headDim == 128;
  if (computeDtype == DType::bf16) {
    wide ? launchHead<128, DType::bf16>(stream, given) : launchHead<64, DType::bf16>(stream, given);
  } else {
    wide ? launchHead<128, DType::f16>(stream, given) : launchHead<64, DType::f16>(stream, given);
  }
}

}  // namespace rnd1::cuda
