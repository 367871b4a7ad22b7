#pragma once

#include "backend/cuda/device/copy.h"
#include "backend/cuda/device/mma.h"
#include "backend/cuda/device/shared.h"
#include "backend/cuda/device/tiles.h"
#include "backend/cuda/kernels.h"
#include "backend/cuda/matmul_tile.h"

namespace rnd1::cuda {

/**
 * A tile of x · weightᵀ for many rows, where a matmul is compute-bound: 128 weight rows by 128 rows of x,
 * both streamed by asynchronous copies through three buffers. Each of four warps computes 64 × 64 of it, so
 * that every value loaded from shared memory is used 64 times. x is 16-bit already (narrow). Sums run along
 * `inner` in steps of 16 as in mma_tile.h: the bits are the same.
 */
constexpr int wideThreads = 128;
constexpr int wideRows = 128;
constexpr int wideWeights = 128;
constexpr int wideInner = 64;
constexpr int wideStages = 3;

/** Output columns of a tile, whose weight rows gate and up share. */
template <int products>
constexpr int wideColumns = wideWeights / products;

struct WideMemory {
  alignas(128) uint16_t weights[wideStages][wideWeights * wideInner];
  alignas(128) uint16_t x[wideStages][wideRows * wideInner];
  int32_t rows[wideRows];  // row of x; −1: none
};

/** Maps a row of the tile to a weight and its row: 32 rows of gate, 32 of up, repeated. */
template <int products>
struct WideRow {
  int product, row;
  __device__ explicit WideRow(int tileRow)
      : product(products == 1 ? 0 : tileRow / 32 % 2),
        row(products == 1 ? tileRow : tileRow / 64 * 32 + tileRow % 32) {}
};

template <int products>
__device__ __forceinline__ void copyWide(WideMemory& shared, int stage, const Narrow& x,
                                         const WeightTile (&weights)[products], int32_t columns,
                                         int32_t first) {
  // A row of a tile has eight chunks of 16 bytes.
  const int chunk = static_cast<int>(threadIdx.x) % 8;
  const int64_t offset = int64_t{first} + chunk * 8;
  for (int row = static_cast<int>(threadIdx.x) / 8; row < wideWeights; row += wideThreads / 8) {
    const WideRow<products> of(row);
    // Not indexed dynamically, which would put the array in local memory.
    const WeightTile weight = of.product == 0 ? weights[0] : weights[products - 1];
    const int64_t left = of.row < columns ? weight.strideBytes - offset * 2 : 0;
    const int valid = left <= 0 ? 0 : left < 16 ? static_cast<int>(left) : 16;
    copyAsync16(shared.weights[stage] + swizzled<wideInner>(row, chunk),
                valid > 0 ? weight.from(of.row).data + offset * 2 : weight.data, valid);
  }
  for (int row = static_cast<int>(threadIdx.x) / 8; row < wideRows; row += wideThreads / 8) {
    const int32_t source = shared.rows[row];
    const bool there = source >= 0 && offset < x.stride;
    copyAsync16(shared.x[stage] + swizzled<wideInner>(row, chunk),
                there ? x.data + source * x.stride + offset : x.data, there ? 16 : 0);
  }
}

using WideSums = FragmentC[4][8];

/** shared.rows must be filled; starts with a barrier. forEachWideResult maps the sums to results. */
template <int products, DType type>
__device__ __forceinline__ void multiplyWideTile(WideMemory& shared, const Narrow& x,
                                                 const WeightTile (&weights)[products], int32_t columns,
                                                 int32_t inner, WideSums& sums) {
  const int lane = static_cast<int>(threadIdx.x) % 32, warp = static_cast<int>(threadIdx.x) / 32;
  const int firstWeight = warp % 2 * 64, firstRow = warp / 2 * 64;
  for (auto& row : sums)
    for (FragmentC& sum : row)
      for (float& value : sum.values) value = 0;
  const int32_t steps = (inner + wideInner - 1) / wideInner;
  const auto fetch = [&](int32_t step) {
    if (step < steps) copyWide<products>(shared, step % wideStages, x, weights, columns, step * wideInner);
    commitCopies();
  };
  __syncthreads();
  for (int step = 0; step < wideStages - 1; ++step) fetch(step);
  for (int32_t step = 0; step < steps; ++step) {
    waitCopies<wideStages - 2>();
    // After it, all threads see this step's tiles, and none still reads those of the previous step.
    __syncthreads();
    fetch(step + wideStages - 1);
    const uint16_t* weightTile = shared.weights[step % wideStages];
    const uint16_t* xTile = shared.x[step % wideStages];
    for (int k = 0; k < wideInner / 16; ++k) {
      FragmentA a[4];
      for (int m = 0; m < 4; ++m)
        loadMatrices(weightTile + swizzled<wideInner>(firstWeight + m * 16 + lane % 16, k * 2 + lane / 16),
                     a[m].registers);
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
