// Compiled with the flags of kernels_avx512bf16.cc, -mamx-tile and -mamx-bf16 on x86-64; elsewhere there is
// nothing to compile. Only for processes that are permitted to use tiles: see CpuFeatures.
#include "backend/cpu/float/kernels.h"

#if defined(__AVX512F__) && defined(__AVX512BW__) && defined(__AVX512VL__) && defined(__AVX512DQ__) && \
    defined(__AVX512BF16__) && defined(__AMX_BF16__)
#if defined(__GNUC__) && !defined(__clang__)
// GCC 12's own header trips these two (GCC bug 105593).
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#pragma GCC diagnostic ignored "-Wuninitialized"
#endif
#include <immintrin.h>

#define RND1_ISA amx
#define RND1_ISA_NAME "amx"
#define RND1_LANES 16
#define RND1_USES_TILES
#define RND1_TILE_ROWS 4
#define RND1_TILE_COLUMNS 6
#include "backend/cpu/float/kernels.inl"

namespace rnd1::cpu {
const Kernels* amxKernels() { return &amx::table; }
}  // namespace rnd1::cpu
#else
namespace rnd1::cpu {
const Kernels* amxKernels() { return nullptr; }
}  // namespace rnd1::cpu
#endif
