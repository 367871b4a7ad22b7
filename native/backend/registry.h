#pragma once

#include <memory>
#include <string>
#include <vector>

#include "backend/backend.h"
#include "core/simulated_threads.h"

namespace rnd1 {

struct Gpu {
  std::string device;  // "cuda:0"
  std::string name;
  int64_t bytes = 0;
};

/** The usable GPUs; `unavailable`: the reason if there are none. */
struct CudaStatus {
  std::vector<Gpu> gpus;
  std::string unavailable;
};

// Implemented in native/backend/cuda; builds without CUDA use unavailable.cc.
CudaStatus cudaStatus();
std::unique_ptr<Backend> makeCudaBackend(DType dtype, int ordinal);

/** Instruction sets that this CPU supports, best first. */
std::vector<std::string> cpuInstructionSets();

/** Instruction sets that this build has kernels for. */
std::vector<std::string> compiledInstructionSets();

/** `instructionSet`: a supported one, or empty for that of RND1_CPU, else the best. Throws otherwise.
 * `simulated`: takes the place of the threads. */
std::unique_ptr<Backend> makeCpuBackend(DType dtype, int threads, const std::string& instructionSet = "",
                                        SimulatedThreads* simulated = nullptr);

/** `device`: "cpu", "cuda" or "cuda:N". Throws Error cuda_unavailable or invalid_argument. */
std::unique_ptr<Backend> makeBackend(const std::string& device, DType dtype, int threads);

}  // namespace rnd1
