#pragma once

#include "backend/cuda/device/copy.h"
#include "backend/cuda/device/mma.h"
#include "backend/cuda/device/numbers.h"
#include "backend/cuda/device/tiles.h"
#include "backend/cuda/kernels.h"
#include "backend/cuda/matmul_tile.h"

namespace rnd1::cuda {

/**
 * A tile of x · weightᵀ on tensor cores, for weights in the 16-bit compute dtype: 64 weight rows, as the wide
 * operand of mma.m16n8k16, by `rows` rows of x. Four warps, 16 weight rows each. Weights stream through
 * `stages` buffers by asynchronous copies, every byte once per tile; x is narrowed in registers. Sums run
 * along `inner` in steps of 16 for every tile size, so they depend on the two rows only.
 */
constexpr int mmaThreads = 128;
constexpr int mmaColumns = 64;
constexpr int mmaInner = 64;
constexpr int mmaStages = 4;

template <int products, int rows>
struct MmaMemory {
  alignas(128) uint16_t weights[mmaStages][products][mmaColumns * mmaInner];
  alignas(128) uint16_t x[2][rows * mmaInner];
};

/** A thread's share of a tile of x: a part of one row. */
template <int rows>
struct XLoader {
  static constexpr int threadsPerRow = mmaThreads / rows;
  static constexpr int values = mmaInner / threadsPerRow;

  const float* source;  // the row, or null
  bool aligned;         // to 16 bytes
  float registers[values];

  __device__ static int row() { return static_cast<int>(threadIdx.x) / threadsPerRow; }
  __device__ static int column() { return static_cast<int>(threadIdx.x) % threadsPerRow * values; }

  __device__ void load(int32_t first, int32_t inner) {
    for (int i = 0; i < values; i += 4) {
      const int32_t at = first + column() + i;
      if (source && aligned && at + 4 <= inner) {
        const float4 four = *reinterpret_cast<const float4*>(source + at);
        registers[i] = four.x;
        registers[i + 1] = four.y;
        registers[i + 2] = four.z;
        registers[i + 3] = four.w;
      } else {
        for (int j = 0; j < 4; ++j) registers[i + j] = source && at + j < inner ? source[at + j] : 0.0f;
      }
    }
  }

  template <DType type>
  __device__ void store(uint16_t* tile) const {
    for (int i = 0; i < values; i += 8) {
      uint4 eight;
      eight.x = pack<type>(registers[i], registers[i + 1]);
      eight.y = pack<type>(registers[i + 2], registers[i + 3]);
      eight.z = pack<type>(registers[i + 4], registers[i + 5]);
      eight.w = pack<type>(registers[i + 6], registers[i + 7]);
      *reinterpret_cast<uint4*>(tile + swizzled<mmaInner>(row(), (column() + i) / 8)) = eight;
    }
  }
};

/** Copies one stage of weight rows [0, columns), values [first, first + 64); the rest is zeros. */
__device__ __forceinline__ void copyWeights(uint16_t* tile, const WeightTile& weight, int32_t columns,
                                            int32_t first) {
  for (int i = static_cast<int>(threadIdx.x); i < mmaColumns * 8; i += mmaThreads) {
    const int row = i / 8, chunk = i % 8;
    const int64_t offset = (int64_t{first} + chunk * 8) * 2;
    const int64_t left = row < columns ? weight.strideBytes - offset : 0;
    const int valid = left <= 0 ? 0 : left < 16 ? static_cast<int>(left) : 16;
    copyAsync16(tile + swizzled<mmaInner>(row, chunk),
                valid > 0 ? weight.from(row).data + offset : weight.data, valid);
  }
}

/**
 * sums[p][n].values[i] = x[8 n + 2 · (lane % 4) + i % 2] · weights[p][16 · warp + lane / 4 + 8 · (i / 2)].
 * source: the row of x that this thread loads, XLoader<rows>::row(), or null.
 */
template <int products, int rows, DType type>
__device__ __forceinline__ void multiplyMmaTile(MmaMemory<products, rows>& shared, const float* source,
                                                const WeightTile (&weights)[products], int32_t columns,
                                                int32_t inner, FragmentC (&sums)[products][rows / 8]) {
  const int lane = static_cast<int>(threadIdx.x) % 32, warp = static_cast<int>(threadIdx.x) / 32;
  for (int p = 0; p < products; ++p)
    for (int n = 0; n < rows / 8; ++n)
      for (int i = 0; i < 4; ++i) sums[p][n].values[i] = 0;
  const int32_t steps = (inner + mmaInner - 1) / mmaInner;
  const auto fetch = [&](int32_t step) {
    if (step < steps)
      for (int p = 0; p < products; ++p)
        copyWeights(shared.weights[step % mmaStages][p], weights[p], columns, step * mmaInner);
    commitCopies();
  };
  XLoader<rows> x;
  x.source = source;
  x.aligned = reinterpret_cast<uintptr_t>(source) % 16 == 0;
  for (int step = 0; step < mmaStages - 1; ++step) fetch(step);
  x.load(0, inner);

  for (int32_t step = 0; step < steps; ++step) {
    uint16_t* tile = shared.x[step % 2];
    x.template store<type>(tile);
    waitCopies<mmaStages - 2>();
    // After it, all threads see this step's tiles, and none still reads those of the previous step.
    __syncthreads();
    fetch(step + mmaStages - 1);
    if (step + 1 < steps) x.load((step + 1) * mmaInner, inner);
    for (int k = 0; k < mmaInner / 16; ++k) {
      FragmentB b[rows / 8];
      for (int n = 0; n < rows / 8; n += 2) {
        uint32_t four[4];
        loadMatrices(tile + swizzled<mmaInner>(n * 8 + lane / 16 * 8 + lane % 8, k * 2 + lane / 8 % 2), four);
        b[n] = {{four[0], four[1]}};
        b[n + 1] = {{four[2], four[3]}};
      }
      for (int p = 0; p < products; ++p) {
        FragmentA a;
        loadMatrices(shared.weights[step % mmaStages][p] +
                         swizzled<mmaInner>(warp * 16 + lane % 16, k * 2 + lane / 16),
                     a.registers);
        for (int n = 0; n < rows / 8; ++n) multiplyAccumulate<type>(sums[p][n], a, b[n]);
      }
    }
  }
  waitCopies<0>();
}

/** body(row of x, weight row, index n of sums, index i of values) for every result of this thread. */
template <int rows, typename Body>
__device__ __forceinline__ void forEachMmaResult(Body&& body) {
  const int lane = static_cast<int>(threadIdx.x) % 32, warp = static_cast<int>(threadIdx.x) / 32;
  for (int n = 0; n < rows / 8; ++n)
    for (int i = 0; i < 4; ++i) body(n * 8 + lane % 4 * 2 + i % 2, warp * 16 + lane / 4 + i / 2 * 8, n, i);
}

}  // namespace rnd1::cuda
