// Compiled with -mamx-tile -mamx-int8 -mavx512vnni -mavx512f -mavx512bw -mavx512vl -mavx512dq -mfma on
// x86-64; elsewhere there is nothing to compile. Only for processes that are permitted to use tiles: see
// CpuFeatures.
#include "backend/cpu/quantized/kernels.h"

#if defined(__AMX_INT8__) && defined(__AVX512VNNI__) && defined(__AVX512BW__) && defined(__AVX512VL__) && \
    defined(__AVX512DQ__)
#if defined(__GNUC__) && !defined(__clang__)
// GCC 12's own header trips this one (GCC bug 105593).
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#endif
#include <immintrin.h>

#define RND1_ISA quantized_amx
#define RND1_ISA_NAME "amx"
#define RND1_LANES 16
#define RND1_USES_TILES
#define RND1_TILE_ROWS 10
#include "backend/cpu/quantized/kernels.inl"

namespace rnd1::cpu {
const QuantizedKernels* quantizedAmxKernels() { return &quantized_amx::table; }
}  // namespace rnd1::cpu
#else
namespace rnd1::cpu {
const QuantizedKernels* quantizedAmxKernels() { return nullptr; }
}  // namespace rnd1::cpu
#endif
