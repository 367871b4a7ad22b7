// Compiled with -mavx512vnni -mavx512f -mavx512bw -mavx512vl -mavx512dq -mfma on x86-64; elsewhere there is
// nothing to compile.
#include "backend/cpu/quantized/kernels.h"

#if defined(__AVX512VNNI__) && defined(__AVX512BW__) && defined(__AVX512VL__) && defined(__AVX512DQ__)
#if defined(__GNUC__) && !defined(__clang__)
// GCC 12's own header trips this one (GCC bug 105593).
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#endif
#include <immintrin.h>

#define RND1_ISA quantized_avx512vnni
#define RND1_ISA_NAME "avx512vnni"
#define RND1_LANES 16
#define RND1_TILE_ROWS 10
#include "backend/cpu/quantized/kernels.inl"

namespace rnd1::cpu {
const QuantizedKernels* quantizedAvx512VnniKernels() { return &quantized_avx512vnni::table; }
}  // namespace rnd1::cpu
#else
namespace rnd1::cpu {
const QuantizedKernels* quantizedAvx512VnniKernels() { return nullptr; }
}  // namespace rnd1::cpu
#endif
