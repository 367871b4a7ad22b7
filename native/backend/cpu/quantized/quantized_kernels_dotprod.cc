// Compiled with -march=armv8.2-a+dotprod on arm64; elsewhere there is nothing to compile.
#include "backend/cpu/quantized/kernels.h"

#if defined(__aarch64__) && defined(__ARM_FEATURE_DOTPROD)
#include <arm_neon.h>

#define RND1_ISA quantized_dotprod
#define RND1_ISA_NAME "dotprod"
#define RND1_LANES 4
#define RND1_TILE_ROWS 5
#include "backend/cpu/quantized/kernels.inl"

namespace rnd1::cpu {
const QuantizedKernels* quantizedDotprodKernels() { return &quantized_dotprod::table; }
}  // namespace rnd1::cpu
#else
namespace rnd1::cpu {
const QuantizedKernels* quantizedDotprodKernels() { return nullptr; }
}  // namespace rnd1::cpu
#endif
