#pragma once

#include <cuda.h>
#include <cuda_runtime.h>

#include "backend/cuda/device/cluster.h"

/** Copies of boxes of a matrix in one instruction (tensor memory accelerator, PTX ISA 8.0; sm_90 and later).
 */
namespace rnd1::cuda {

/** A matrix of 16-bit values and the rows of a box, which has 64 columns: to be an argument of a kernel, a
 * `__grid_constant__`. */
struct TensorMap {
  CUtensorMap encoded;
};

/**
 * Copies the box from `row` and `column` on into the shared memory of all blocks in `ranks`, at the place of
 * `shared`, counted by their barriers. Chunks of 16 bytes are permuted as by `swizzled<64>`, if the tile's
 * memory is aligned to 1,024 bytes; what is outside of the matrix is 0.
 */
template <bool constant>
__device__ __forceinline__ void copyBox(void* shared, const TensorMap& map, int32_t column, int32_t row,
                                        uint64_t* barrier, uint16_t ranks) {
#if RND1_CLUSTER_CODE
  asm volatile(
      "cp.async.bulk.tensor.2d.shared::cluster.global.mbarrier::complete_tx::bytes.multicast::cluster [%0], "
      "[%1, {%2, %3}], [%4], %5;" ::"r"(sharedAddress(shared)),
      "l"(&map), "r"(column), "r"(row), "r"(sharedAddress(barrier)), "h"(ranks)
      : "memory");
#endif
}

/** Starts loading a box of a constant matrix into the L2 cache. */
__device__ __forceinline__ void prefetchBox(const TensorMap& map, int32_t column, int32_t row) {
#if RND1_CLUSTER_CODE
  asm volatile("cp.async.bulk.prefetch.tensor.2d.L2.global [%0, {%1, %2}];" ::"l"(&map), "r"(column), "r"(row)
               : "memory");
#endif
}

/** Rows are `strideBytes` apart, a multiple of 16, as is `data`. Throws Error cuda_error. */
TensorMap tensorMapOf(const void* data, DType dtype, int64_t rows, int64_t columns, int64_t strideBytes,
                      int boxRows);

}  // namespace rnd1::cuda
