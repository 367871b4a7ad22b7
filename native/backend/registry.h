#pragma once

#include <memory>
#include <string>
#include <vector>

#include "backend/backend.h"

namespace rnd1 {

struct Gpu {
  std::string device;  // "cuda:0"
  std::string name;
  int64_t bytes = 0;
};

/** GPUs that can be used; when there is none, why. */
struct CudaStatus {
  std::vector<Gpu> gpus;
  std::string unavailable;
};

// Implemented in native/backend/cuda, or by its stand-in when that is not built.
CudaStatus cudaStatus();
std::unique_ptr<Backend> makeCudaBackend(DType dtype, int ordinal);

/** CPU instruction sets this machine can run, best first. */
std::vector<std::string> cpuInstructionSets();

/** Those that this build has kernels for, whether or not this machine can run them. */
std::vector<std::string> compiledInstructionSets();

/** `instructionSet`: one of the above, or empty for the best (or what RND1_CPU names). Throws on others. */
std::unique_ptr<Backend> makeCpuBackend(DType dtype, int threads, const std::string& instructionSet = "");

/** `device`: "cpu", "cuda" or "cuda:N". Throws Error cuda_unavailable or invalid_argument. */
std::unique_ptr<Backend> makeBackend(const std::string& device, DType dtype, int threads);

}  // namespace rnd1
