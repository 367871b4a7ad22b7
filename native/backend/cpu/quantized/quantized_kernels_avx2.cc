// Compiled with -mavx2 -mfma -mf16c on x86-64; elsewhere there is nothing to compile.
#include "backend/cpu/quantized/kernels.h"

#if defined(__AVX2__) && defined(__FMA__) && defined(__F16C__)
#include <immintrin.h>

#define RND1_ISA quantized_avx2
#define RND1_ISA_NAME "avx2"
#define RND1_LANES 8
#define RND1_TILE_ROWS 4
#include "backend/cpu/quantized/kernels.inl"

namespace rnd1::cpu {
const QuantizedKernels* quantizedAvx2Kernels() { return &quantized_avx2::table; }
}  // namespace rnd1::cpu
#else
namespace rnd1::cpu {
const QuantizedKernels* quantizedAvx2Kernels() { return nullptr; }
}  // namespace rnd1::cpu
#endif
