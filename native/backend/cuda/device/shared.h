#pragma once

#include <cuda_runtime.h>

namespace rnd1::cuda {

/** The block's dynamic shared memory, aligned to 1,024 bytes. */
__device__ __forceinline__ unsigned char* sharedMemory() {
  extern __shared__ __align__(1024) unsigned char memory[];
  return memory;
}

}  // namespace rnd1::cuda
