// Kernels that this machine can run, and the backend for the chosen ones.
#include <cstdlib>

#include "backend/cpu/cpu_backend.h"
#include "backend/cpu/cpu_features.h"
#include "backend/registry.h"
#include "core/error.h"

namespace rnd1 {
namespace {

/** Best first. */
std::vector<const cpu::Kernels*> runnableKernels() {
  const cpu::CpuFeatures& features = cpu::cpuFeatures();
  std::vector<const cpu::Kernels*> runnable;
  const auto add = [&](const cpu::Kernels* kernels, bool runs) {
    if (kernels && runs) runnable.push_back(kernels);
  };
  add(cpu::amxKernels(), features.amx);
  add(cpu::avx512Bf16Kernels(), features.avx512Bf16);
  add(cpu::avx512Kernels(), features.avx512);
  add(cpu::avx2Kernels(), features.avx2);
  add(cpu::neonBf16Kernels(), features.neonBf16);
  add(cpu::neonF16Kernels(), features.neonF16);
  add(cpu::baselineKernels(), true);
  return runnable;
}

}  // namespace

std::vector<std::string> cpuInstructionSets() {
  std::vector<std::string> names;
  for (const cpu::Kernels* kernels : runnableKernels()) names.emplace_back(kernels->name);
  return names;
}

std::vector<std::string> compiledInstructionSets() {
  std::vector<std::string> names;
  for (const cpu::Kernels* kernels :
       {cpu::amxKernels(), cpu::avx512Bf16Kernels(), cpu::avx512Kernels(), cpu::avx2Kernels(),
        cpu::neonBf16Kernels(), cpu::neonF16Kernels(), cpu::baselineKernels()})
    if (kernels) names.emplace_back(kernels->name);
  return names;
}

std::unique_ptr<Backend> makeCpuBackend(DType dtype, int threads, const std::string& instructionSet,
                                        SimulatedThreads* simulated) {
  std::string wanted = instructionSet;
  if (const char* forced = std::getenv("RND1_CPU"); wanted.empty() && forced) wanted = forced;
  std::string names;
  for (const cpu::Kernels* kernels : runnableKernels()) {
    if (wanted.empty() || wanted == kernels->name)
      return std::make_unique<cpu::CpuBackend>(dtype, threads, *kernels, simulated);
    names += std::string(names.empty() ? "" : ", ") + kernels->name;
  }
  throw Error(ErrorCode::invalidArgument,
              "RND1_CPU: this machine cannot run '" + wanted + "' kernels; it can run: " + names);
}

}  // namespace rnd1
