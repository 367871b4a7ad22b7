// Compiled with -march=armv8.2-a+dotprod+i8mm on arm64; elsewhere there is nothing to compile.
#include "backend/cpu/quantized/kernels.h"

#if defined(__aarch64__) && defined(__ARM_FEATURE_DOTPROD) && defined(__ARM_FEATURE_MATMUL_INT8)
#include <arm_neon.h>

#define RND1_ISA quantized_i8mm
#define RND1_ISA_NAME "i8mm"
#define RND1_LANES 4
#define RND1_TILE_ROWS 6
#define RND1_MULTIPLIES_PAIRS
#include "backend/cpu/quantized/kernels.inl"

namespace rnd1::cpu {
const QuantizedKernels* quantizedI8mmKernels() { return &quantized_i8mm::table; }
}  // namespace rnd1::cpu
#else
namespace rnd1::cpu {
const QuantizedKernels* quantizedI8mmKernels() { return nullptr; }
}  // namespace rnd1::cpu
#endif
