#pragma once

#include <cuda_runtime.h>

#include "backend/cuda/device/mma.h"

namespace rnd1::cuda {

/** 16 bytes from global to shared memory, bypassing registers; zeros after `valid` bytes
 * (cp.async.cg.shared.global with a source size). Both addresses aligned to 16. */
__device__ __forceinline__ void copyAsync16(void* shared, const void* global, int valid) {
  asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(sharedAddress(shared)), "l"(global),
               "r"(valid)
               : "memory");
}

/** The same from memory that no kernel of a step writes: may precede awaitPredecessors. */
__device__ __forceinline__ void copyConstantAsync16(void* shared, const void* global, int valid) {
  copyAsync16(shared, global, valid);
}

/** Ends a group of copies (cp.async.commit_group). */
__device__ __forceinline__ void commitCopies() { asm volatile("cp.async.commit_group;" ::: "memory"); }

/** Waits for all groups of this thread except the newest `pending` (cp.async.wait_group); other threads need
 * a barrier. */
template <int pending>
__device__ __forceinline__ void waitCopies() {
  asm volatile("cp.async.wait_group %0;" ::"n"(pending) : "memory");
}

}  // namespace rnd1::cuda
