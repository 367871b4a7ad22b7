#pragma once

#include <cuda_runtime.h>

#include <cstdint>

namespace rnd1::cuda {

/**
 * A tile of a product of two f32 matrices in any order, by multiply-adds: 256 threads, 4 × 4 results each.
 * Sums run along the steps in pieces of 16, so they depend on the operands only.
 */
constexpr int productThreads = 256;
constexpr int productTile = 64;
constexpr int productInner = 16;

struct ProductMemory {
  float a[productInner][productTile + 4];
  float b[productInner][productTile + 4];
};

using ProductSums = float[4][4];

/** The rows and columns of the tile that a thread's sums have. */
__device__ __forceinline__ int productRow(int i) { return static_cast<int>(threadIdx.x) / 16 * 4 + i; }
__device__ __forceinline__ int productColumn(int j) { return static_cast<int>(threadIdx.x) % 16 * 4 + j; }

/** What a thread loads of an operand: four values side by side, along the steps or across them. */
template <bool alongSteps, typename Operand>
__device__ __forceinline__ void loadOperand(float (&shared)[productInner][productTile + 4], int64_t first,
                                            int64_t end, Operand operand) {
  const int thread = static_cast<int>(threadIdx.x);
  for (int i = 0; i < 4; ++i) {
    const int step = alongSteps ? thread % 4 * 4 + i : thread / 16;
    const int place = alongSteps ? thread / 4 : thread % 16 * 4 + i;
    shared[step][place] = first + step < end ? operand(first + step, place) : 0.0f;
  }
}

/**
 * sums[i][j] = Σ_p a(p, productRow(i)) · b(p, productColumn(j)) over the steps [first, end). a and b give 0
 * beyond the matrices; aAlongSteps, bAlongSteps: their values of one place and successive steps are adjacent.
 */
template <bool aAlongSteps, bool bAlongSteps, typename A, typename B>
__device__ __forceinline__ void multiplySteps(ProductMemory& shared, int64_t first, int64_t end, A a, B b,
                                              ProductSums& sums) {
  for (int i = 0; i < 4; ++i)
    for (int j = 0; j < 4; ++j) sums[i][j] = 0;
  const int row = productRow(0), column = productColumn(0);
  for (int64_t step = first; step < end; step += productInner) {
    loadOperand<aAlongSteps>(shared.a, step, end, a);
    loadOperand<bAlongSteps>(shared.b, step, end, b);
    __syncthreads();
    ProductSums partial = {};
    for (int p = 0; p < productInner; ++p)
      for (int i = 0; i < 4; ++i)
        for (int j = 0; j < 4; ++j) partial[i][j] += shared.a[p][row + i] * shared.b[p][column + j];
    for (int i = 0; i < 4; ++i)
      for (int j = 0; j < 4; ++j) sums[i][j] += partial[i][j];
    __syncthreads();
  }
}

}  // namespace rnd1::cuda
