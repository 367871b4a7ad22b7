#pragma once

// The part of the CUDA runtime that native/backend/cuda uses, on a CPU: language keywords, built-in variables
// and functions of kernels, and host functions. Written from NVIDIA's documentation (CUDA C++ Programming
// Guide, CUDA Runtime API); it needs no CUDA toolkit.

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <functional>
#include <tuple>
#include <utility>

#include "simulator.h"

#define __global__
#define __device__
#define __host__
#define __forceinline__ inline
#define __noinline__ inline
#define __launch_bounds__(...)
#define __grid_constant__

/** Built-ins of the running fiber. */
inline const sim::Index3& threadIdx = sim::builtins.threadIdx;
inline const sim::Index3& blockIdx = sim::builtins.blockIdx;
inline const sim::Index3& blockDim = sim::builtins.blockDim;
inline const sim::Index3& gridDim = sim::builtins.gridDim;

// --- Types

struct dim3 {
  unsigned x = 1, y = 1, z = 1;
  dim3(unsigned x = 1, unsigned y = 1, unsigned z = 1) : x(x), y(y), z(z) {}
};

struct alignas(8) float2 {
  float x, y;
};
struct alignas(16) float4 {
  float x, y, z, w;
};
struct alignas(16) int4 {
  int32_t x, y, z, w;
};
struct alignas(8) uint2 {
  uint32_t x, y;
};
struct alignas(16) uint4 {
  uint32_t x, y, z, w;
};

// --- In kernels

inline void __syncthreads() { sim::barrier(); }

namespace sim {

/** The value of lane `from(lane)`, for every lane. */
template <typename T, typename From>
T shuffle(uint32_t mask, const char* kind, T value, From from) {
  static_assert(sizeof(T) <= 8 && std::is_trivially_copyable_v<T>);
  const std::byte* all = collective(mask, kind, &value, sizeof value);
  std::memcpy(&value, all + from(sim::builtins.lane) * collectiveBytes, sizeof value);
  return value;
}

}  // namespace sim

inline void __syncwarp(uint32_t mask = ~0u) { sim::collective(mask, "__syncwarp", nullptr, 0); }

template <typename T>
T __shfl_sync(uint32_t mask, T value, int source) {
  return sim::shuffle(mask, "__shfl_sync", value,
                      [=](unsigned) { return static_cast<unsigned>(source) & 31; });
}

template <typename T>
T __shfl_xor_sync(uint32_t mask, T value, int bits) {
  return sim::shuffle(mask, "__shfl_xor_sync", value,
                      [=](unsigned lane) { return (lane ^ static_cast<unsigned>(bits)) & 31; });
}

template <typename T>
T __shfl_up_sync(uint32_t mask, T value, unsigned delta) {
  return sim::shuffle(mask, "__shfl_up_sync", value,
                      [=](unsigned lane) { return lane < delta ? lane : lane - delta; });
}

inline uint32_t __ballot_sync(uint32_t mask, bool predicate) {
  const std::byte* all = sim::collective(mask, "__ballot_sync", &predicate, sizeof predicate);
  uint32_t bits = 0;
  for (unsigned lane = 0; lane < 32; ++lane) {
    bool theirs = false;
    if (mask >> lane & 1) std::memcpy(&theirs, all + lane * sim::collectiveBytes, sizeof theirs);
    bits |= static_cast<uint32_t>(theirs) << lane;
  }
  return bits;
}

template <typename T>
T atomicAdd(T* target, T value) {
  const T before = *target;
  *target += value;
  return before;
}

inline int __popc(uint32_t bits) { return __builtin_popcount(bits); }
inline int __ffs(int bits) { return __builtin_ffs(bits); }
inline uint32_t __umulhi(uint32_t a, uint32_t b) { return static_cast<uint32_t>((uint64_t{a} * b) >> 32); }
/** Four bytes of x (0 … 3) and y (4 … 7), by the lower three bits of each hexadecimal digit of `selector`. */
inline unsigned __byte_perm(unsigned x, unsigned y, unsigned selector) {
  const unsigned long long both = static_cast<unsigned long long>(y) << 32 | x;
  unsigned result = 0;
  for (unsigned i = 0; i < 4; ++i)
    result |= static_cast<unsigned>(both >> (selector >> (4 * i) & 7) * 8 & 0xff) << (8 * i);
  return result;
}
inline uint32_t __float_as_uint(float value) {
  uint32_t bits;
  std::memcpy(&bits, &value, sizeof bits);
  return bits;
}
inline float __uint_as_float(uint32_t bits) {
  float value;
  std::memcpy(&value, &bits, sizeof value);
  return value;
}
inline float __expf(float x) { return std::exp(x); }
// Rounded individually: never fused with other operations.
inline float __fadd_rn(float a, float b) { return a + b; }
inline float __fmul_rn(float a, float b) { return a * b; }
inline float __fmaf_rn(float a, float b, float c) { return std::fma(a, b, c); }
inline float rsqrtf(float x) { return 1.0f / std::sqrt(x); }
template <typename T>
T __ldg(const T* source) {
  return *source;
}
using std::max;
using std::min;

// --- On the host

enum cudaError_t {
  cudaSuccess = 0,
  cudaErrorInvalidValue = 1,
  cudaErrorMemoryAllocation = 2,
  cudaErrorInsufficientDriver = 35,
  cudaErrorNoDevice = 100,
  cudaErrorInvalidDevice = 101,
  cudaErrorECCUncorrectable = 214,
  cudaErrorIllegalAddress = 700,
  cudaErrorLaunchTimeout = 702,
  cudaErrorAssert = 710,
  cudaErrorHardwareStackError = 714,
  cudaErrorIllegalInstruction = 715,
  cudaErrorMisalignedAddress = 716,
  cudaErrorInvalidAddressSpace = 717,
  cudaErrorInvalidPc = 718,
  cudaErrorLaunchFailure = 719,
  cudaErrorStreamCaptureUnsupported = 900,
};

enum cudaMemcpyKind { cudaMemcpyHostToDevice = 1, cudaMemcpyDeviceToHost = 2, cudaMemcpyDeviceToDevice = 3 };
enum cudaFuncAttribute { cudaFuncAttributeMaxDynamicSharedMemorySize = 8 };
enum { cudaStreamNonBlocking = 1 };
enum cudaStreamCaptureMode { cudaStreamCaptureModeThreadLocal = 1 };

using cudaStream_t = struct CUstream_st*;
using cudaEvent_t = struct CUevent_st*;
using cudaGraph_t = struct CUgraph_st*;
using cudaGraphExec_t = struct CUgraphExec_st*;
enum { cudaEventDefault = 0, cudaEventDisableTiming = 2 };

struct cudaDeviceProp {
  char name[256];
  size_t totalGlobalMem;
  int major, minor;
  int multiProcessorCount;
};

enum cudaLaunchAttributeID {
  cudaLaunchAttributeClusterDimension = 4,
  cudaLaunchAttributeProgrammaticStreamSerialization = 6
};
union cudaLaunchAttributeValue {
  struct {
    unsigned x, y, z;
  } clusterDim;
  int programmaticStreamSerializationAllowed;
};
struct cudaLaunchAttribute {
  cudaLaunchAttributeID id;
  cudaLaunchAttributeValue val;
};
struct cudaLaunchConfig_t {
  dim3 gridDim, blockDim;
  size_t dynamicSmemBytes = 0;
  cudaStream_t stream = nullptr;
  cudaLaunchAttribute* attrs = nullptr;
  unsigned numAttrs = 0;
};

const char* cudaGetErrorName(cudaError_t error);
const char* cudaGetErrorString(cudaError_t error);
cudaError_t cudaGetLastError();
cudaError_t cudaDriverGetVersion(int* version);
cudaError_t cudaRuntimeGetVersion(int* version);
cudaError_t cudaGetDeviceCount(int* count);
cudaError_t cudaGetDeviceProperties(cudaDeviceProp* properties, int device);
cudaError_t cudaSetDevice(int device);
cudaError_t cudaMemGetInfo(size_t* free, size_t* total);
cudaError_t cudaMalloc(void** memory, size_t bytes);
cudaError_t cudaFree(void* memory);
cudaError_t cudaMallocHost(void** memory, size_t bytes);
cudaError_t cudaFreeHost(void* memory);
cudaError_t cudaStreamCreateWithFlags(cudaStream_t* stream, unsigned flags);
cudaError_t cudaStreamDestroy(cudaStream_t stream);
cudaError_t cudaStreamSynchronize(cudaStream_t stream);
cudaError_t cudaStreamBeginCapture(cudaStream_t stream, cudaStreamCaptureMode mode);
cudaError_t cudaStreamEndCapture(cudaStream_t stream, cudaGraph_t* graph);
cudaError_t cudaGraphInstantiate(cudaGraphExec_t* executable, cudaGraph_t graph, unsigned long long flags);
cudaError_t cudaGraphDestroy(cudaGraph_t graph);
cudaError_t cudaGraphExecDestroy(cudaGraphExec_t executable);
cudaError_t cudaGraphLaunch(cudaGraphExec_t executable, cudaStream_t stream);
cudaError_t cudaEventCreateWithFlags(cudaEvent_t* event, unsigned flags);
cudaError_t cudaEventDestroy(cudaEvent_t event);
cudaError_t cudaEventRecord(cudaEvent_t event, cudaStream_t stream);
cudaError_t cudaEventSynchronize(cudaEvent_t event);
cudaError_t cudaEventElapsedTime(float* milliseconds, cudaEvent_t from, cudaEvent_t to);
cudaError_t cudaMemcpyAsync(void* destination, const void* source, size_t bytes, cudaMemcpyKind kind,
                            cudaStream_t stream);
cudaError_t cudaMemcpy2DAsync(void* destination, size_t destinationPitch, const void* source,
                              size_t sourcePitch, size_t width, size_t height, cudaMemcpyKind kind,
                              cudaStream_t stream);
cudaError_t cudaMemsetAsync(void* memory, int value, size_t bytes, cudaStream_t stream);

namespace sim {

cudaError_t launch(const cudaLaunchConfig_t& config, const void* kernel, std::function<void()> body);
/** Calls of cudaGraphLaunch so far. */
int64_t graphLaunches();
cudaError_t allowSharedBytes(const void* kernel, size_t bytes);

}  // namespace sim

struct cudaFuncAttributes {
  int ptxVersion;
};
template <typename... Parameters>
cudaError_t cudaFuncGetAttributes(cudaFuncAttributes* attributes, void (*)(Parameters...)) {
  return attributes->ptxVersion = 90, cudaSuccess;
}

template <typename... Parameters>
cudaError_t cudaFuncSetAttribute(void (*kernel)(Parameters...), cudaFuncAttribute, int value) {
  return sim::allowSharedBytes(reinterpret_cast<const void*>(kernel), static_cast<size_t>(value));
}

template <typename... Parameters, typename... Arguments>
cudaError_t cudaLaunchKernelEx(const cudaLaunchConfig_t* config, void (*kernel)(Parameters...),
                               Arguments&&... arguments) {
  const sim::Inside inside;
  // Parameters are copied at the launch, as on a GPU.
  std::tuple<Parameters...> parameters{std::forward<Arguments>(arguments)...};
  return sim::launch(*config, reinterpret_cast<const void*>(kernel),
                     [kernel, parameters] { std::apply(kernel, parameters); });
}
