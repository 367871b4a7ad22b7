// Which kernels for quantized weights this machine can run.
#include "backend/cpu/cpu_features.h"
#include "backend/cpu/quantized/quantized_ops.h"

namespace rnd1::cpu {

std::vector<const QuantizedKernels*> runnableQuantizedKernels() {
  const CpuFeatures& features = cpuFeatures();
  std::vector<const QuantizedKernels*> runnable;
  const auto add = [&](const QuantizedKernels* kernels, bool runs) {
    if (kernels && runs) runnable.push_back(kernels);
  };
  add(quantizedAmxKernels(), features.amx);
  add(quantizedAvx512VnniKernels(), features.avx512Vnni);
  add(quantizedAvxVnniKernels(), features.avxVnni);
  add(quantizedAvx2Kernels(), features.avx2);
  add(quantizedI8mmKernels(), features.neonI8mm);
  add(quantizedDotprodKernels(), features.neonDot);
  add(quantizedBaselineKernels(), true);
  return runnable;
}

const QuantizedKernels& quantizedKernels(const std::string& instructionSet) {
  // Allowed: the instructions of the float kernels of that name, and VNNI if the processor has it.
  const auto allowed = [&](const std::string& name) {
    if (instructionSet == "amx") return true;
    if (instructionSet.starts_with("avx512")) return name != "amx";
    if (instructionSet == "avx2") return name != "amx" && !name.starts_with("avx512");
    // On arm64, float kernel names do not imply products of bytes.
    return name == "baseline" || name == "dotprod" || name == "i8mm";
  };
  for (const QuantizedKernels* kernels : runnableQuantizedKernels())
    if (allowed(kernels->name)) return *kernels;
  return *quantizedBaselineKernels();
}

}  // namespace rnd1::cpu
