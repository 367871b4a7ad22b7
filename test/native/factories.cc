// Backends for the tests of this folder: every instruction set of this machine, emulated tiles, and every
// GPU.
#include "allocations.h"
#include "backend/cpu/cpu_backend.h"
#include "backend/registry.h"
#include "backends.h"
#include "core/error.h"
#include "emulated_tiles.h"

namespace rnd1::test {

void forEachFactory(const std::function<void(const BackendFactory&)>& body) {
  if (tries("cpu")) {
    for (const auto& instructionSet : cpuInstructionSets())
      for (const DType dtype : allDTypes) {
        const Scope scope(instructionSet + " " + dtypeName(dtype));
        body([&](int threads) { return makeCpuBackend(dtype, threads, instructionSet); });
      }
    const Scope scope("emulated tiles bf16");
    body(
        [](int threads) { return std::make_unique<cpu::CpuBackend>(DType::bf16, threads, emulatedTiles()); });
  }
  for (const Gpu& gpu : cudaStatus().gpus) {
    if (!tries(gpu.device)) continue;
    for (const DType dtype : allDTypes) {
      const Scope scope(gpu.device + " " + dtypeName(dtype));
      body([&](int) { return makeBackend(gpu.device, dtype, 1); });
    }
  }
}

std::string deviceUnavailable(const std::string& device) {
  try {
    makeBackend(device, DType::f32, 1);
    return "";
  } catch (const Error& error) {
    return error.what();
  }
}

bool allocatesForItself() { return true; }

}  // namespace rnd1::test
