// Compiled with -march=armv8.2-a+bf16+fp16fml on arm64; elsewhere there is nothing to compile.
#include "backend/cpu/float/kernels.h"

#if defined(__ARM_FEATURE_BF16_VECTOR_ARITHMETIC) && defined(__ARM_FEATURE_FP16_FML)
#define RND1_ISA neonbf16
#define RND1_ISA_NAME "neonbf16"
#define RND1_USES_FMLAL
#define RND1_MULTIPLIES_PAIRS
#define RND1_LANES 4
#define RND1_TILE_ROWS 4
#define RND1_TILE_COLUMNS 6
#include "backend/cpu/float/kernels.inl"

namespace rnd1::cpu {
const Kernels* neonBf16Kernels() { return &neonbf16::table; }
}  // namespace rnd1::cpu
#else
namespace rnd1::cpu {
const Kernels* neonBf16Kernels() { return nullptr; }
}  // namespace rnd1::cpu
#endif
