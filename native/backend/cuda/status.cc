// Lists the GPUs and creates the backend for one.
#include "backend/cuda/cuda_backend.h"
#include "backend/registry.h"

namespace rnd1 {
namespace {

std::string version(int number) {
  return std::to_string(number / 1000) + "." + std::to_string(number % 1000 / 10);
}

/** Why no GPU can be used; empty if one can. */
std::string reasonAgainst(int& count) {
  int driver = 0, runtime = 0;
  cudaDriverGetVersion(&driver);
  cudaRuntimeGetVersion(&runtime);
  if (driver == 0) return "there is no NVIDIA driver on this machine";
  if (driver / 1000 < runtime / 1000)
    return "the NVIDIA driver supports CUDA " + version(driver) + ", this build needs " + version(runtime) +
           ": install a newer driver";
  const cudaError_t status = cudaGetDeviceCount(&count);
  if (status != cudaSuccess) {
    cudaGetLastError();
    return std::string("no GPU can be used: ") + cudaGetErrorString(status);
  }
  return count == 0 ? "there is no NVIDIA GPU on this machine" : "";
}

}  // namespace

CudaStatus cudaStatus() {
  CudaStatus status;
  int count = 0;
  status.unavailable = reasonAgainst(count);
  if (!status.unavailable.empty()) return status;
  for (int ordinal = 0; ordinal < count; ++ordinal) {
    cudaDeviceProp properties;
    if (cudaGetDeviceProperties(&properties, ordinal) != cudaSuccess) continue;
    if (properties.major < 8) {
      status.unavailable = std::string(properties.name) + " is older than compute capability 8.0";
      continue;
    }
    status.gpus.push_back({"cuda:" + std::to_string(ordinal), properties.name,
                           static_cast<int64_t>(properties.totalGlobalMem)});
  }
  if (!status.gpus.empty()) status.unavailable.clear();
  return status;
}

std::unique_ptr<Backend> makeCudaBackend(DType dtype, int ordinal) {
  const CudaStatus status = cudaStatus();
  const std::string device = "cuda:" + std::to_string(ordinal);
  for (const Gpu& gpu : status.gpus)
    if (gpu.device == device) return std::make_unique<cuda::CudaBackend>(dtype, ordinal);
  throw Error(ErrorCode::cudaUnavailable,
              status.unavailable.empty() ? "there is no " + device : status.unavailable);
}

}  // namespace rnd1
