#pragma once

#include <cuda_runtime.h>

#include <string>
#include <utility>

#include "backend/cuda/trace.h"
#include "core/error.h"

namespace rnd1::cuda {

/** Whether GPUs are unusable for this process after an error (CUDA Runtime API, "Error Handling"). */
constexpr bool isFatal(cudaError_t status) {
  switch (status) {
    case cudaErrorECCUncorrectable:
    case cudaErrorIllegalAddress:
    case cudaErrorLaunchTimeout:
    case cudaErrorAssert:
    case cudaErrorHardwareStackError:
    case cudaErrorIllegalInstruction:
    case cudaErrorMisalignedAddress:
    case cudaErrorInvalidAddressSpace:
    case cudaErrorInvalidPc:
    case cudaErrorLaunchFailure:
      return true;
    default:
      return false;
  }
}

/** Throws Error out_of_memory or cuda_error with the operation, and whether GPUs remain usable. */
inline void check(cudaError_t status, const char* what) {
  if (status == cudaSuccess) return;
  // Clears a non-sticky error, which the thread would otherwise keep.
  cudaGetLastError();
  const auto code = status == cudaErrorMemoryAllocation ? ErrorCode::outOfMemory : ErrorCode::cudaError;
  throw Error(code, std::string(what) + ": " + cudaGetErrorString(status) + " (" + cudaGetErrorName(status) +
                        ")" +
                        (isFatal(status) ? "; this model is broken, and GPUs cannot be used again before the "
                                           "process is restarted"
                                         : ""));
}

/** The shape of a launch. */
struct Grid {
  dim3 blocks;
  unsigned threads = 0;
  size_t sharedBytes = 0;
  dim3 cluster = dim3(1, 1, 1);  // blocks that run together; `blocks` is a multiple
};

/** Whether launchEarly launches early on this thread's GPU, as CudaBackend::stream sets it. */
inline thread_local bool earlyLaunches = false;

/** Shared memory available to a kernel by default. */
constexpr size_t ordinarySharedBytes = 48 << 10;

/** Launches a kernel on a stream. Nothing is launched for an empty grid. `early`: see launchEarly. */
template <typename... Parameters, typename... Arguments>
void launchOn(cudaStream_t stream, const char* what, const Grid& grid, bool early,
              void (*kernel)(Parameters...), Arguments&&... arguments) {
  if (grid.blocks.x == 0 || grid.blocks.y == 0 || grid.blocks.z == 0) return;
  if (grid.sharedBytes > ordinarySharedBytes)
    check(cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize,
                               static_cast<int>(grid.sharedBytes)),
          what);
  cudaLaunchConfig_t config = {};
  config.gridDim = grid.blocks;
  config.blockDim = dim3(grid.threads);
  config.dynamicSmemBytes = grid.sharedBytes;
  config.stream = stream;
  cudaLaunchAttribute attributes[2] = {};
  config.attrs = attributes;
  if (early) {
    cudaLaunchAttribute& attribute = attributes[config.numAttrs++];
    attribute.id = cudaLaunchAttributeProgrammaticStreamSerialization;
    attribute.val.programmaticStreamSerializationAllowed = 1;
  }
  if (grid.cluster.x * grid.cluster.y * grid.cluster.z > 1) {
    cudaLaunchAttribute& attribute = attributes[config.numAttrs++];
    attribute.id = cudaLaunchAttributeClusterDimension;
    attribute.val.clusterDim = {grid.cluster.x, grid.cluster.y, grid.cluster.z};
  }
  check(cudaLaunchKernelEx(&config, kernel, std::forward<Arguments>(arguments)...), what);
  if (LaunchTrace* const trace = LaunchTrace::active()) trace->mark(stream, what);
}

template <typename... Parameters, typename... Arguments>
void launch(cudaStream_t stream, const char* what, const Grid& grid, void (*kernel)(Parameters...),
            Arguments&&... arguments) {
  launchOn(stream, what, grid, false, kernel, std::forward<Arguments>(arguments)...);
}

/**
 * The same for a kernel that calls awaitPredecessors: from sm_90 on its blocks may begin when all blocks of
 * the kernel before it have begun (programmatic dependent launch), which hides the launch and what precedes
 * the call. Not while launches are timed.
 */
template <typename... Parameters, typename... Arguments>
void launchEarly(cudaStream_t stream, const char* what, const Grid& grid, void (*kernel)(Parameters...),
                 Arguments&&... arguments) {
  launchOn(stream, what, grid, earlyLaunches && !LaunchTrace::active(), kernel,
           std::forward<Arguments>(arguments)...);
}

/** ⌈count / size⌉ as a grid's dimension. */
constexpr unsigned blocksFor(int64_t count, int64_t size) {
  return static_cast<unsigned>((count + size - 1) / size);
}

}  // namespace rnd1::cuda
