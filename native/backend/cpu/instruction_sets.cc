// Which kernels this machine can run, and the backend over the chosen ones.
#include <cstdlib>

#if defined(__x86_64__)
#include <cpuid.h>
#elif defined(__aarch64__) && defined(__linux__)
#include <sys/auxv.h>
#elif defined(__aarch64__) && defined(__APPLE__)
#include <sys/sysctl.h>
#endif

#include "backend/cpu/cpu_backend.h"
#include "core/error.h"

namespace rnd1 {
namespace {

#if defined(__x86_64__)
/** Half-precision conversions: clang 16's __builtin_cpu_supports does not know their name. */
bool hasF16c() {
  unsigned eax, ebx, ecx, edx;
  return __get_cpuid(1, &eax, &ebx, &ecx, &edx) && (ecx & bit_F16C);
}

/** Products of bf16: leaf 7, subleaf 1. GCC 12's __builtin_cpu_supports does not know their name. */
bool hasAvx512Bf16() {
  unsigned eax, ebx, ecx, edx;
  return __get_cpuid_count(7, 1, &eax, &ebx, &ecx, &edx) && (eax & (1u << 5));
}
#elif defined(__aarch64__) && defined(__linux__)
// HWCAP_ASIMDFHM and HWCAP2_BF16, which older headers lack.
bool hasF16Products() { return getauxval(AT_HWCAP) & (1ul << 23); }
bool hasBf16Products() { return getauxval(AT_HWCAP2) & (1ul << 14); }
#elif defined(__aarch64__)
bool hasFeature([[maybe_unused]] const char* name) {
#if defined(__APPLE__)
  int has = 0;
  size_t size = sizeof has;
  return sysctlbyname(name, &has, &size, nullptr, 0) == 0 && has != 0;
#else
  return false;
#endif
}
bool hasF16Products() { return hasFeature("hw.optional.arm.FEAT_FHM"); }
bool hasBf16Products() { return hasFeature("hw.optional.arm.FEAT_BF16"); }
#endif

std::vector<const cpu::Kernels*> runnableKernels() {
  std::vector<const cpu::Kernels*> kernels;
#if defined(__x86_64__)
  __builtin_cpu_init();
  const bool avx512 = __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
                      __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq") &&
                      __builtin_cpu_supports("fma");
  if (cpu::avx512Bf16Kernels() && avx512 && hasAvx512Bf16()) kernels.push_back(cpu::avx512Bf16Kernels());
  if (cpu::avx512Kernels() && avx512) kernels.push_back(cpu::avx512Kernels());
  if (cpu::avx2Kernels() && __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && hasF16c())
    kernels.push_back(cpu::avx2Kernels());
#elif defined(__aarch64__)
  if (cpu::neonBf16Kernels() && hasBf16Products() && hasF16Products())
    kernels.push_back(cpu::neonBf16Kernels());
  if (cpu::neonF16Kernels() && hasF16Products()) kernels.push_back(cpu::neonF16Kernels());
#endif
  kernels.push_back(cpu::baselineKernels());
  return kernels;
}

}  // namespace

std::vector<std::string> cpuInstructionSets() {
  std::vector<std::string> names;
  for (const cpu::Kernels* kernels : runnableKernels()) names.emplace_back(kernels->name);
  return names;
}

std::vector<std::string> compiledInstructionSets() {
  std::vector<std::string> names;
  for (const cpu::Kernels* kernels : {cpu::avx512Bf16Kernels(), cpu::avx512Kernels(), cpu::avx2Kernels(),
                                      cpu::neonBf16Kernels(), cpu::neonF16Kernels(), cpu::baselineKernels()})
    if (kernels) names.emplace_back(kernels->name);
  return names;
}

std::unique_ptr<Backend> makeCpuBackend(DType dtype, int threads, const std::string& instructionSet) {
  std::string wanted = instructionSet;
  if (const char* forced = std::getenv("RND1_CPU"); wanted.empty() && forced) wanted = forced;
  std::string names;
  for (const cpu::Kernels* kernels : runnableKernels()) {
    if (wanted.empty() || wanted == kernels->name)
      return std::make_unique<cpu::CpuBackend>(dtype, threads, *kernels);
    names += std::string(names.empty() ? "" : ", ") + kernels->name;
  }
  throw Error(ErrorCode::invalidArgument,
              "RND1_CPU: this machine cannot run '" + wanted + "' kernels; it can run: " + names);
}

}  // namespace rnd1
