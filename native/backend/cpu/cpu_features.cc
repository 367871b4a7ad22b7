#include "backend/cpu/cpu_features.h"

#include <cstddef>

#if defined(__x86_64__)
#include <cpuid.h>
#ifdef __linux__
#include <sys/syscall.h>
#include <unistd.h>
#endif
#elif defined(__aarch64__) && defined(__linux__)
#include <sys/auxv.h>
#elif defined(__aarch64__) && defined(__APPLE__)
#include <sys/sysctl.h>
#endif

namespace rnd1::cpu {
namespace {

#if defined(__x86_64__)
// __builtin_cpu_supports also checks operating system support, but GCC 12 and clang 16 do not know all names:
// those are read from CPUID, and avx2 and avx512f imply the system's support.

bool hasF16c() {
  unsigned eax, ebx, ecx, edx;
  return __get_cpuid(1, &eax, &ebx, &ecx, &edx) && (ecx & bit_F16C);
}

/** A bit of EAX in leaf 7, subleaf 1. */
bool hasLeaf7Bit(unsigned bit) {
  unsigned eax, ebx, ecx, edx;
  return __get_cpuid_count(7, 1, &eax, &ebx, &ecx, &edx) && (eax & (1u << bit));
}

/** Bits of EDX in leaf 7: tiles, and their products of bf16 and int8. */
bool hasTiles() {
  unsigned eax, ebx, ecx, edx;
  constexpr unsigned wanted = 1u << 22 | 1u << 24 | 1u << 25;
  return __get_cpuid_count(7, 0, &eax, &ebx, &ecx, &edx) && (edx & wanted) == wanted;
}

/** Linux lets a process use tiles once it has asked. Others are not asked. */
bool permitsTiles() {
#ifdef __linux__
  constexpr int requestPermission = 0x1023, tileData = 18;  // ARCH_REQ_XCOMP_PERM, XFEATURE_XTILEDATA
  return ::syscall(SYS_arch_prctl, requestPermission, tileData) == 0;
#else
  return false;
#endif
}

CpuFeatures detect() {
  __builtin_cpu_init();
  CpuFeatures features;
  const bool fma = __builtin_cpu_supports("fma");
  features.avx2 = __builtin_cpu_supports("avx2") && fma && hasF16c();
  features.avxVnni = features.avx2 && hasLeaf7Bit(4);
  features.avx512 = __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
                    __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq") && fma;
  features.avx512Bf16 = features.avx512 && hasLeaf7Bit(5);
  features.avx512Vnni = features.avx512 && features.avx2 && __builtin_cpu_supports("avx512vnni");
  features.amx = features.avx512Bf16 && features.avx512Vnni && hasTiles() && permitsTiles();
  return features;
}
#elif defined(__aarch64__) && defined(__linux__)
CpuFeatures detect() {
  // HWCAP_ASIMDFHM, HWCAP2_BF16, HWCAP_ASIMDDP and HWCAP2_I8MM, some of which older headers lack.
  const unsigned long first = getauxval(AT_HWCAP), second = getauxval(AT_HWCAP2);
  CpuFeatures features;
  features.neonF16 = first & (1ul << 23);
  features.neonBf16 = features.neonF16 && (second & (1ul << 14));
  features.neonDot = first & (1ul << 20);
  features.neonI8mm = features.neonDot && (second & (1ul << 13));
  return features;
}
#elif defined(__aarch64__) && defined(__APPLE__)
bool hasFeature(const char* name) {
  int has = 0;
  size_t size = sizeof has;
  return sysctlbyname(name, &has, &size, nullptr, 0) == 0 && has != 0;
}

CpuFeatures detect() {
  CpuFeatures features;
  features.neonF16 = hasFeature("hw.optional.arm.FEAT_FHM");
  features.neonBf16 = features.neonF16 && hasFeature("hw.optional.arm.FEAT_BF16");
  features.neonDot = true;  // every 64-bit Mac
  features.neonI8mm = hasFeature("hw.optional.arm.FEAT_I8MM");
  return features;
}
#else
CpuFeatures detect() { return {}; }
#endif

}  // namespace

const CpuFeatures& cpuFeatures() {
  static const CpuFeatures features = detect();
  return features;
}

}  // namespace rnd1::cpu
