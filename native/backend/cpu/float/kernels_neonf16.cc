// Compiled with -march=armv8.2-a+fp16fml on arm64; elsewhere there is nothing to compile.
#include "backend/cpu/float/kernels.h"

#if defined(__ARM_FEATURE_FP16_FML)
#define RND1_ISA neonf16
#define RND1_ISA_NAME "neonf16"
#define RND1_USES_FMLAL
#define RND1_LANES 4
#define RND1_TILE_ROWS 4
#define RND1_TILE_COLUMNS 6
#include "backend/cpu/float/kernels.inl"

namespace rnd1::cpu {
const Kernels* neonF16Kernels() { return &neonf16::table; }
}  // namespace rnd1::cpu
#else
namespace rnd1::cpu {
const Kernels* neonF16Kernels() { return nullptr; }
}  // namespace rnd1::cpu
#endif
