// Compiled with -mavx2 -mfma -mf16c on x86-64; elsewhere there is nothing to compile.
#include "backend/cpu/float/kernels.h"

#if defined(__AVX2__) && defined(__FMA__) && defined(__F16C__)
#include <immintrin.h>

#define RND1_ISA avx2
#define RND1_ISA_NAME "avx2"
#define RND1_LANES 8
#define RND1_TILE_ROWS 3
#define RND1_TILE_COLUMNS 4
#include "backend/cpu/float/kernels.inl"

namespace rnd1::cpu {
const Kernels* avx2Kernels() { return &avx2::table; }
}  // namespace rnd1::cpu
#else
namespace rnd1::cpu {
const Kernels* avx2Kernels() { return nullptr; }
}  // namespace rnd1::cpu
#endif
