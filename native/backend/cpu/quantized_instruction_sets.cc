// Which kernels for quantized weights this machine can run.
#if defined(__x86_64__)
#include <cpuid.h>
#elif defined(__aarch64__) && defined(__linux__)
#include <asm/hwcap.h>
#include <sys/auxv.h>
#endif

#include "backend/cpu/quantized_products.h"

namespace rnd1::cpu {
namespace {

#if defined(__x86_64__)
/** Clang 16's __builtin_cpu_supports does not know these names; the system's consent shows in avx2's. */
bool hasAvxVnni() {
  unsigned eax, ebx, ecx, edx;
  return __get_cpuid_count(7, 1, &eax, &ebx, &ecx, &edx) && (eax & (1u << 4));
}
bool hasF16c() {
  unsigned eax, ebx, ecx, edx;
  return __get_cpuid(1, &eax, &ebx, &ecx, &edx) && (ecx & bit_F16C);
}
#elif defined(__aarch64__)
bool hasDotProducts() {
#if defined(__linux__)
  return getauxval(AT_HWCAP) & HWCAP_ASIMDDP;
#else
  return true;  // every 64-bit Mac
#endif
}
#endif

}  // namespace

std::vector<const QuantizedKernels*> runnableQuantizedKernels() {
  std::vector<const QuantizedKernels*> kernels;
#if defined(__x86_64__)
  __builtin_cpu_init();
  const bool avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && hasF16c();
  if (quantizedAvx512VnniKernels() && avx2 && __builtin_cpu_supports("avx512f") &&
      __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl") &&
      __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vnni"))
    kernels.push_back(quantizedAvx512VnniKernels());
  if (quantizedAvxVnniKernels() && avx2 && hasAvxVnni()) kernels.push_back(quantizedAvxVnniKernels());
  if (quantizedAvx2Kernels() && avx2) kernels.push_back(quantizedAvx2Kernels());
#elif defined(__aarch64__)
  if (quantizedDotprodKernels() && hasDotProducts()) kernels.push_back(quantizedDotprodKernels());
#endif
  kernels.push_back(quantizedBaselineKernels());
  return kernels;
}

const QuantizedKernels& quantizedKernels(const std::string& instructionSet) {
  // What the float kernels of a name may use, these may use as well, and VNNI where the processor has it.
  const auto allowed = [&](const std::string& name) {
    if (instructionSet.starts_with("avx512")) return true;
    if (instructionSet == "avx2") return !name.starts_with("avx512");
    // On arm64 the float kernels' names tell of no products of bytes.
    return name == "baseline" || name == "dotprod";
  };
  for (const QuantizedKernels* kernels : runnableQuantizedKernels())
    if (allowed(kernels->name)) return *kernels;
  return *quantizedBaselineKernels();
}

}  // namespace rnd1::cpu
