#pragma once

#include <cuda_runtime.h>

namespace rnd1::cuda {

/**
 * To be called by every thread of a kernel of `launchEarly`, before it reads or writes what another kernel of
 * the stream writes or reads: waits until those have ended, and allows the next kernel to begin
 * (griddepcontrol.wait and .launch_dependents, PTX ISA 7.8). Nothing where there are no such launches, before
 * sm_90.
 */
__device__ __forceinline__ void awaitPredecessors() {
#if __CUDA_ARCH__ >= 900
  asm volatile("griddepcontrol.wait;" ::: "memory");
  asm volatile("griddepcontrol.launch_dependents;" ::: "memory");
#endif
}

}  // namespace rnd1::cuda
