#pragma once

#include "backend/cuda/device/copy.h"
#include "backend/cuda/device/mma.h"
#include "backend/cuda/device/shared.h"
#include "backend/cuda/device/tile_copies.h"
#include "backend/cuda/device/tiles.h"
#include "backend/cuda/kernels.h"
#include "backend/cuda/matmul_tile.h"

namespace rnd1::cuda {

/**
 * A tile of x · weightᵀ for many rows, where a matmul is compute-bound: 128 weight rows by 128 rows of x,
 * both streamed by asynchronous copies through three buffers. Each of four warps computes 64 × 64 of it, so
 * that every value loaded from shared memory is used 64 times. Sums run along `inner` in steps of 16 as in
 * mma_tile.h: the bits are the same.
 */
constexpr int wideThreads = 128;
constexpr int wideRows = 128;
constexpr int wideWeights = 128;
constexpr int wideInner = stepValues;
constexpr int wideStages = 3;

/** Output columns of a tile, whose weight rows gate and up share. */
template <int products>
constexpr int wideColumns = wideWeights / products;

/** Maps a row of the tile to a weight and its row: 32 rows of gate, 32 of up, repeated. */
template <int products>
struct WideRow {
  int product, row;
  __device__ explicit WideRow(int tileRow)
      : product(products == 1 ? 0 : tileRow / 32 % 2),
        row(products == 1 ? tileRow : tileRow / 64 * 32 + tileRow % 32) {}
};

/** As MmaWeights. */
template <int productCount>
struct WideWeights {
  static constexpr int products = productCount;
  struct Memory {
    alignas(128) uint16_t weights[wideStages][wideWeights * wideInner];
    alignas(128) uint16_t x[wideStages][wideRows * wideInner];
  };

  Memory& shared;
  const WeightTile (&weights)[products];
  const int32_t inner;
  const TileCopies<Source::weights, wideWeights, wideThreads> copies;

  __device__ __forceinline__ WideWeights(Memory& shared, const WeightTile (&weights)[products],
                                         int32_t columns, int64_t inner)
      : shared(shared),
        weights(weights),
        inner(static_cast<int32_t>(inner)),
        copies(weights[0].strideBytes, [&](int tileRow) {
          return RowsFrom{0, columns}(WideRow<products>(tileRow).row);
        }) {}

  __device__ __forceinline__ void copy(int stage, int32_t first) const {
    for (int pass = 0; pass < copies.passes; ++pass) {
      const int product = WideRow<products>(pass * copies.stride).product;
      copies.copyPass(shared.weights[stage], weights[product].data, first, pass,
                      copies.validBytes(first, inner));
    }
  }
  __device__ __forceinline__ void prefetch() const {
    for (int stage = 0; stage < wideStages - 1; ++stage) copy(stage, stage * wideInner);
  }

  struct Scales {};
  __device__ __forceinline__ Scales scales(int, int, int) const { return {}; }
  /** The values of 16 weight rows of the tile in 16 columns, from 16 k on. */
  template <DType>
  __device__ __forceinline__ FragmentA load(int stage, int firstRow, int k, Scales) const {
    const int lane = static_cast<int>(threadIdx.x) % 32;
    FragmentA a;
    loadMatrices(shared.weights[stage] + swizzled<wideInner>(firstRow + lane % 16, k * 2 + lane / 16),
                 a.registers);
    return a;
  }
};

using WideSums = FragmentC[4][8];

/** As multiplyMmaTile. forEachWideResult maps the sums to results. */
template <DType type, typename Weights, typename RowOf>
__device__ __forceinline__ void multiplyWideTile(const Weights& weights, const Tensor& x, RowOf rowOf,
                                                 WideSums& sums) {
  const int lane = static_cast<int>(threadIdx.x) % 32, warp = static_cast<int>(threadIdx.x) / 32;
  const int firstWeight = warp % 2 * 64, firstRow = warp / 2 * 64;
  for (auto& row : sums)
    for (FragmentC& sum : row)
      for (float& value : sum.values) value = 0;
  auto& shared = weights.shared;
  const TileCopies<Source::activations, wideRows, wideThreads> xCopies(x.stride * 2, rowOf);
  const auto fetchX = [&](int stage, int32_t first) {
    xCopies.copy(shared.x[stage], x.data, first, xCopies.validBytes(first, weights.inner));
    commitCopies();
  };
  for (int stage = 0; stage < wideStages - 1; ++stage) fetchX(stage, stage * wideInner);
  for (int32_t value = 0, stage = 0; value < weights.inner; value += wideInner) {
    waitCopies<wideStages - 2>();
    // After it, all threads see this step's tiles, and none still reads those of the previous step.
    __syncthreads();
    const int free = stage == 0 ? wideStages - 1 : stage - 1;
    weights.copy(free, value + (wideStages - 1) * wideInner);
    fetchX(free, value + (wideStages - 1) * wideInner);
    const uint16_t* xTile = shared.x[stage];
#pragma unroll
    for (int half = 0; half < 2; ++half) {
      typename Weights::Scales scales[4];
      for (int m = 0; m < 4; ++m) scales[m] = weights.scales(stage, firstWeight + m * 16, half);
#pragma unroll
      for (int k = half * 2; k < half * 2 + 2; ++k) {
        FragmentA a[4];
        for (int m = 0; m < 4; ++m)
          a[m] = weights.template load<type>(stage, firstWeight + m * 16, k, scales[m]);
        for (int n = 0; n < 8; n += 2) {
          uint32_t four[4];
          loadMatrices(
              xTile + swizzled<wideInner>(firstRow + n * 8 + lane / 16 * 8 + lane % 8, k * 2 + lane / 8 % 2),
              four);
          for (int m = 0; m < 4; ++m) {
            multiplyAccumulate<type>(sums[m][n], a[m], {{four[0], four[1]}});
            multiplyAccumulate<type>(sums[m][n + 1], a[m], {{four[2], four[3]}});
          }
        }
      }
    }
    stage = stage + 1 == wideStages ? 0 : stage + 1;
  }
  waitCopies<0>();
}

/** body(row of the tile of x, column of the output, value of the first product, of the last one). Fully
 * unrolled, or the sums would be in local memory. */
template <int products, typename Body>
__device__ __forceinline__ void forEachWideResult(const WideSums& sums, Body&& body) {
  const int lane = static_cast<int>(threadIdx.x) % 32, warp = static_cast<int>(threadIdx.x) / 32;
#pragma unroll
  for (int m = 0; m < 4 / products; ++m)
#pragma unroll
    for (int n = 0; n < 8; ++n)
#pragma unroll
      for (int i = 0; i < 4; ++i) {
        const int tileRow = warp % 2 * 64 + m * 16 + lane / 4 + i / 2 * 8;
        body(warp / 2 * 64 + n * 8 + lane % 4 * 2 + i % 2, WideRow<products>(tileRow).row,
             sums[m][n].values[i], sums[products == 2 ? m + 2 : m][n].values[i]);
      }
}

}  // namespace rnd1::cuda
