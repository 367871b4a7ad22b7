// The backends that the tests of this folder run on: every instruction set of this machine, and every GPU.
#include "backend/registry.h"
#include "backends.h"

namespace rnd1::test {

void forEachFactory(const std::function<void(const BackendFactory&)>& body) {
  for (const auto& instructionSet : cpuInstructionSets())
    for (const DType dtype : allDTypes) {
      const Scope scope(instructionSet + " " + dtypeName(dtype));
      body([&](int threads) { return makeCpuBackend(dtype, threads, instructionSet); });
    }
  for (const Gpu& gpu : cudaStatus().gpus)
    for (const DType dtype : allDTypes) {
      const Scope scope(gpu.device + " " + dtypeName(dtype));
      body([&](int) { return makeBackend(gpu.device, dtype, 1); });
    }
}

}  // namespace rnd1::test
