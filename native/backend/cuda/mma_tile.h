#pragma once

#include "backend/cuda/device/copy.h"
#include "backend/cuda/device/mma.h"
#include "backend/cuda/device/numbers.h"
#include "backend/cuda/device/tile_copies.h"
#include "backend/cuda/device/tiles.h"
#include "backend/cuda/kernels.h"
#include "backend/cuda/matmul_tile.h"

namespace rnd1::cuda {

/**
 * A tile of x · weightᵀ on tensor cores, for x in the 16-bit compute dtype: 64 weight rows, as the wide
 * operand of mma.m16n8k16, by `rows` rows of x. A group of warps is four of them, 16 weight rows each; with
 * 128 rows there are mostly two groups, one for each half of the rows. Both operands stream through
 * `mmaStages` buffers by asynchronous copies, every byte of weights once per tile. Sums run along `inner` in
 * steps of 16 for every tile size, so they depend on the two rows only.
 */
template <int rows, int groups = rows <= 64 ? 1 : 2>
constexpr int mmaThreads = 128 * groups;
/** Rows of x that a warp multiplies. */
template <int rows, int groups = rows <= 64 ? 1 : 2>
constexpr int mmaWarpRows = rows / groups;
constexpr int mmaColumns = 64;
constexpr int mmaInner = stepValues;
constexpr int mmaStages = 3;

/** The first row of a tile that this warp multiplies. */
template <int rows, int groups>
__device__ __forceinline__ int firstMmaRow() {
  return static_cast<int>(threadIdx.x) / 128 * mmaWarpRows<rows, groups>;
}

template <int products, int rows>
struct MmaMemory {
  alignas(128) uint16_t weights[mmaStages][products][mmaColumns * mmaInner];
  alignas(128) uint16_t x[mmaStages][rows * mmaInner];
};

template <int products, int rows, int groups = rows <= 64 ? 1 : 2>
using MmaSums = FragmentC[products][mmaWarpRows<rows, groups> / 8];

/** Loads values 16 k … 16 k + 15 of 16 rows of a tile of x. */
__device__ __forceinline__ void loadMmaRows(const uint16_t* rows, int k, FragmentB (&b)[2]) {
  const int lane = static_cast<int>(threadIdx.x) % 32;
  uint32_t four[4];
  loadMatrices(rows + (swizzled<mmaInner>(lane / 16 * 8 + lane % 8, lane / 8 % 2) ^ k * 16), four);
  b[0] = {{four[0], four[1]}};
  b[1] = {{four[2], four[3]}};
}

/** The values of this warp's 16 weight rows of a tile in 16 columns, from 16 k on. */
__device__ __forceinline__ FragmentA loadMmaWeights(const uint16_t* tile, int k) {
  const int lane = static_cast<int>(threadIdx.x) % 32, warp = static_cast<int>(threadIdx.x) / 32;
  FragmentA a;
  // An even chunk changes bits that nothing else does: the rest is computed once.
  loadMatrices(tile + (swizzled<mmaInner>(warp % 4 * 16 + lane % 16, lane / 16) ^ k * 16), a.registers);
  return a;
}

/** Copies the weights of a tile, whose matrices have the same stride, and multiplies them. After the last row
 * it repeats that. */
template <int productCount, int rowCount>
struct MmaWeights {
  static constexpr int products = productCount, rows = rowCount, groups = rows <= 64 ? 1 : 2;
  using Memory = MmaMemory<products, rows>;

  Memory& shared;
  const WeightTile (&weights)[products];
  const int32_t inner;
  const TileCopies<Source::weights, mmaColumns, mmaThreads<rows>> copies;

  __device__ __forceinline__ MmaWeights(Memory& shared, const WeightTile (&weights)[products],
                                        int32_t columns, int64_t inner)
      : shared(shared),
        weights(weights),
        inner(static_cast<int32_t>(inner)),
        copies(weights[0].strideBytes, RowsFrom{0, columns}) {}

  /** Starts copying a step's values from `first` on; after the last one, nothing is read. */
  __device__ __forceinline__ void copy(int stage, int32_t first) const {
    for (int p = 0; p < products; ++p)
      copies.copy(shared.weights[stage][p], weights[p].data, first, copies.validBytes(first, inner));
  }
  /** Starts copying the first stages, as may be done before x is there. */
  __device__ __forceinline__ void prefetch() const {
    for (int stage = 0; stage < mmaStages - 1; ++stage) copy(stage, stage * mmaInner);
  }

  /** For 32 columns of the weight rows of this warp: nothing. */
  struct Scales {};
  __device__ __forceinline__ Scales scales(int, int, int) const { return {}; }
  /** The values of the weight rows of this warp in 16 columns, from 16 k on. */
  template <DType>
  __device__ __forceinline__ FragmentA load(int stage, int product, int k, Scales) const {
    return loadMmaWeights(shared.weights[stage][product], k);
  }
};

/**
 * Adds the products of a step of 64 values: of the weights that `weights` has in `stage`, and a tile of x.
 * Weights, besides sizes: scales(stage, product, half) is what the 16 rows of a warp share in 32 columns,
 * load(stage, product, k, scales) their values in 16.
 */
template <DType type, typename Weights>
__device__ __forceinline__ void multiplyMmaStep(
    const Weights& weights, int stage, const uint16_t* x,
    MmaSums<Weights::products, Weights::rows, Weights::groups>& sums) {
  constexpr int products = Weights::products, tiles = mmaWarpRows<Weights::rows, Weights::groups> / 8;
  const uint16_t* tile = x + firstMmaRow<Weights::rows, Weights::groups>() * mmaInner;
#pragma unroll
  for (int half = 0; half < 2; ++half) {
    typename Weights::Scales scales[products];
    for (int p = 0; p < products; ++p) scales[p] = weights.scales(stage, p, half);
#pragma unroll
    for (int k = half * 2; k < half * 2 + 2; ++k) {
      FragmentB b[tiles / 2][2];
      for (int n = 0; n < tiles / 2; ++n) loadMmaRows(tile + n * 16 * mmaInner, k, b[n]);
      for (int p = 0; p < products; ++p) {
        const FragmentA a = weights.template load<type>(stage, p, k, scales[p]);
        for (int n = 0; n < tiles; ++n) multiplyAccumulate<type>(sums[p][n], a, b[n / 2][n % 2]);
      }
    }
  }
}

template <int products, int tiles>
__device__ __forceinline__ void clearMmaSums(FragmentC (&sums)[products][tiles]) {
  for (int p = 0; p < products; ++p)
    for (int n = 0; n < tiles; ++n)
      for (int i = 0; i < 4; ++i) sums[p][n].values[i] = 0;
}

/**
 * sums[p][n].values[i] = x[firstMmaRow + 8 n + 2 · (lane % 4) + i % 2] · weights[p][16 · (warp % 4) + lane /
 * 4 + 8 · (i / 2)] of weights, MmaWeights or QuantizedMmaWeights, that have been prefetched. rowOf(row of the
 * tile): row of x; any for rows that do not matter.
 */
template <DType type, typename Weights, typename RowOf>
__device__ __forceinline__ void multiplyMmaTile(const Weights& weights, const Tensor& x, RowOf rowOf,
                                                MmaSums<Weights::products, Weights::rows>& sums) {
  constexpr int rows = Weights::rows;
  clearMmaSums(sums);
  auto& shared = weights.shared;
  const TileCopies<Source::activations, rows, mmaThreads<rows>> xCopies(x.stride * 2, rowOf);
  const auto fetchX = [&](int stage, int32_t first) {
    xCopies.copy(shared.x[stage], x.data, first, xCopies.validBytes(first, weights.inner));
    commitCopies();
  };
  for (int stage = 0; stage < mmaStages - 1; ++stage) fetchX(stage, stage * mmaInner);

  for (int32_t value = 0, stage = 0; value < weights.inner; value += mmaInner) {
    waitCopies<mmaStages - 2>();
    // After it, all threads see this step's tiles, and none still reads those of the previous step.
    __syncthreads();
    const int free = stage == 0 ? mmaStages - 1 : stage - 1;
    weights.copy(free, value + (mmaStages - 1) * mmaInner);
    fetchX(free, value + (mmaStages - 1) * mmaInner);
    multiplyMmaStep<type>(weights, stage, shared.x[stage], sums);
    stage = stage + 1 == mmaStages ? 0 : stage + 1;
  }
  waitCopies<0>();
}

/** body(row of x, weight row, index n of sums, index i of values) for every result of this thread. Fully
 * unrolled, or the sums would be in local memory. */
template <int rows, int groups = rows <= 64 ? 1 : 2, typename Body>
__device__ __forceinline__ void forEachMmaResult(Body&& body) {
  const int lane = static_cast<int>(threadIdx.x) % 32, warp = static_cast<int>(threadIdx.x) / 32;
  const int firstRow = firstMmaRow<rows, groups>(), firstColumn = warp % 4 * 16;
#pragma unroll
  for (int n = 0; n < mmaWarpRows<rows, groups> / 8; ++n)
#pragma unroll
    for (int i = 0; i < 4; ++i)
      body(firstRow + n * 8 + lane % 4 * 2 + i % 2, firstColumn + lane / 4 + i / 2 * 8, n, i);
}

}  // namespace rnd1::cuda
