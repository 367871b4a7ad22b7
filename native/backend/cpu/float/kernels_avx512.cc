// Compiled with -mavx512f -mavx512bw -mavx512vl -mavx512dq -mfma on x86-64; elsewhere there is nothing to
// compile.
#include "backend/cpu/float/kernels.h"

#if defined(__AVX512F__) && defined(__AVX512BW__) && defined(__AVX512VL__) && defined(__AVX512DQ__)
#if defined(__GNUC__) && !defined(__clang__)
// GCC 12's own header trips these two (GCC bug 105593).
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#pragma GCC diagnostic ignored "-Wuninitialized"
#endif
#include <immintrin.h>

#define RND1_ISA avx512
#define RND1_ISA_NAME "avx512"
#define RND1_LANES 16
#define RND1_TILE_ROWS 4
#define RND1_TILE_COLUMNS 6
#include "backend/cpu/float/kernels.inl"

namespace rnd1::cpu {
const Kernels* avx512Kernels() { return &avx512::table; }
}  // namespace rnd1::cpu
#else
namespace rnd1::cpu {
const Kernels* avx512Kernels() { return nullptr; }
}  // namespace rnd1::cpu
#endif
