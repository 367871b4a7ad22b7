#pragma once

#include <cuda_runtime.h>

namespace rnd1::cuda {

constexpr unsigned allLanes = 0xffffffffu;

/** Reduces over all lanes in a fixed order; every lane gets the result. */
template <typename T, typename Combine>
__device__ __forceinline__ T warpReduce(T value, Combine combine) {
  for (int bits = 16; bits > 0; bits /= 2) value = combine(value, __shfl_xor_sync(allLanes, value, bits));
  return value;
}

__device__ __forceinline__ float warpSum(float value) {
  return warpReduce(value, [](float a, float b) { return a + b; });
}

/** Over the lanes of a warp, in their order: the sums up to and with each of them. */
template <typename T>
__device__ __forceinline__ T warpScan(T value) {
  for (unsigned distance = 1; distance < 32; distance *= 2) {
    const T earlier = __shfl_up_sync(allLanes, value, distance);
    if (threadIdx.x % 32 >= distance) value += earlier;
  }
  return value;
}

/**
 * Reduces over all threads of a block of `threads`; every thread gets the result. scratch: shared memory for
 * threads / 32 values, reusable after the next barrier.
 */
template <int threads, typename T, typename Combine>
__device__ __forceinline__ T blockReduce(T value, T* scratch, Combine combine) {
  constexpr int warps = threads / 32;
  value = warpReduce(value, combine);
  if (threadIdx.x % 32 == 0) scratch[threadIdx.x / 32] = value;
  __syncthreads();
  value = scratch[0];
  for (int warp = 1; warp < warps; ++warp) value = combine(value, scratch[warp]);
  return value;
}

}  // namespace rnd1::cuda
