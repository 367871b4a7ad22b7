#pragma once

/** CPU features that kernels depend on; all false on other processor families. */
namespace rnd1::cpu {

struct CpuFeatures {
  bool avx2 = false;        // with FMA and half-precision conversions
  bool avxVnni = false;     // int8 dot products in 256 bits, with avx2
  bool avx512 = false;      // F, BW, VL and DQ, with FMA
  bool avx512Bf16 = false;  // products of bf16, with avx512
  bool avx512Vnni = false;  // int8 dot products in 512 bits, with avx512 and avx2
  bool amx = false;         // tiles of bf16 and int8, permitted by the system, with avx512Bf16 and avx512Vnni
  bool neonF16 = false;     // products of f16 summed in f32
  bool neonBf16 = false;    // products of bf16, with neonF16
  bool neonDot = false;     // products of bytes
  bool neonI8mm = false;    // and of pairs of rows of them, with neonDot
};

/** Detected once. */
const CpuFeatures& cpuFeatures();

}  // namespace rnd1::cpu
