// Kernels for every processor of the family: SSE2 on x86-64, NEON on arm64.
#include "backend/cpu/float/kernels.h"

#define RND1_ISA baseline
#define RND1_ISA_NAME "baseline"
#define RND1_LANES 4
#if defined(__aarch64__)
#define RND1_TILE_ROWS 4
#define RND1_TILE_COLUMNS 6
#else
#define RND1_TILE_ROWS 3
#define RND1_TILE_COLUMNS 4
#endif
#include "backend/cpu/float/kernels.inl"

namespace rnd1::cpu {
const Kernels* baselineKernels() { return &baseline::table; }
}  // namespace rnd1::cpu
