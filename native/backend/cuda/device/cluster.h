#pragma once

#include <cuda_runtime.h>

#include "backend/cuda/device/mma.h"

/**
 * Blocks that run together and reach each other's shared memory, and barriers that count threads and bytes of
 * copies (thread block clusters and mbarrier, PTX ISA 8.0). Only in code for sm_90 to sm_110, where copies to
 * several blocks are fast: see `CodeFeatures`.
 */
namespace rnd1::cuda {

#if !defined(__CUDA_ARCH__) || (__CUDA_ARCH__ >= 900 && __CUDA_ARCH__ < 1200)
#define RND1_CLUSTER_CODE 1
#else
#define RND1_CLUSTER_CODE 0
#endif

/** This block's rank in its cluster, x first (%cluster_ctarank). */
__device__ __forceinline__ uint32_t clusterRank() {
  uint32_t rank = 0;
#if RND1_CLUSTER_CODE
  asm volatile("mov.u32 %0, %%cluster_ctarank;" : "=r"(rank));
#endif
  return rank;
}

/** Waits for all threads of the cluster (barrier.cluster). */
__device__ __forceinline__ void syncCluster() {
#if RND1_CLUSTER_CODE
  asm volatile("barrier.cluster.arrive.release;" ::: "memory");
  asm volatile("barrier.cluster.wait.acquire;" ::: "memory");
#endif
}

/** Waits for `threads` threads of the block at a barrier other than that of __syncthreads, from 1 on
 * (bar.sync). */
template <int number, int threads>
__device__ __forceinline__ void syncSome() {
  asm volatile("bar.sync %0, %1;" ::"n"(number), "n"(threads) : "memory");
}

/** A barrier in shared memory. A phase of it is complete when as many threads as given have arrived, and all
 * the bytes that they expect. */
__device__ __forceinline__ void initBarrier(uint64_t* barrier, uint32_t threads) {
#if RND1_CLUSTER_CODE
  asm volatile("mbarrier.init.shared::cta.b64 [%0], %1;" ::"r"(sharedAddress(barrier)), "r"(threads)
               : "memory");
#endif
}

/** Makes initialised barriers known to the cluster, after the next syncCluster (fence.mbarrier_init). */
__device__ __forceinline__ void publishBarriers() {
#if RND1_CLUSTER_CODE
  asm volatile("fence.mbarrier_init.release.cluster;" ::: "memory");
#endif
}

/** Arrives and expects bytes (mbarrier.arrive.expect_tx). */
__device__ __forceinline__ void expectBytes(uint64_t* barrier, uint32_t bytes) {
#if RND1_CLUSTER_CODE
  asm volatile("mbarrier.arrive.expect_tx.shared::cta.b64 _, [%0], %1;" ::"r"(sharedAddress(barrier)),
               "r"(bytes)
               : "memory");
#endif
}

/** Arrives at the barrier at the same place in another block's shared memory. Orders what this thread has
 * read before copies that the other block starts afterwards; without `.cluster`, which would be a fence of
 * the whole GPU. */
__device__ __forceinline__ void arriveAt(uint64_t* barrier, uint32_t rank) {
#if RND1_CLUSTER_CODE
  asm volatile(
      "{\n"
      ".reg .b32 remote;\n"
      "mapa.shared::cluster.u32 remote, %0, %1;\n"
      "mbarrier.arrive.shared::cluster.b64 _, [remote];\n"
      "}" ::"r"(sharedAddress(barrier)),
      "r"(rank)
      : "memory");
#endif
}

/** Waits until the phase with this parity, 0 at first, is complete. */
__device__ __forceinline__ void awaitBarrier(uint64_t* barrier, uint32_t parity) {
#if RND1_CLUSTER_CODE
  asm volatile(
      "{\n"
      ".reg .pred complete;\n"
      "AGAIN:\n"
      "mbarrier.try_wait.parity.shared::cta.b64 complete, [%0], %1;\n"
      "@!complete bra AGAIN;\n"
      "}" ::"r"(sharedAddress(barrier)),
      "r"(parity)
      : "memory");
#endif
}

/** Copies into the shared memory of all blocks in `ranks`, at the place of `shared`, counted by their
 * barriers (cp.async.bulk, multicast). Addresses and size are multiples of 16. The source is constant during
 * a step. */
__device__ __forceinline__ void copyToCluster(void* shared, const void* global, uint32_t bytes,
                                              uint64_t* barrier, uint16_t ranks) {
#if RND1_CLUSTER_CODE
  asm volatile(
      "cp.async.bulk.shared::cluster.global.mbarrier::complete_tx::bytes.multicast::cluster [%0], [%1], %2, "
      "[%3], %4;" ::"r"(sharedAddress(shared)),
      "l"(global), "r"(bytes), "r"(sharedAddress(barrier)), "h"(ranks)
      : "memory");
#endif
}

}  // namespace rnd1::cuda
