// Kernels for every processor of the family: SSE2 on x86-64, plain C++ elsewhere.
#include "backend/cpu/quantized/kernels.h"

#define RND1_ISA quantized_baseline
#define RND1_ISA_NAME "baseline"
#define RND1_LANES 4
#define RND1_TILE_ROWS 3
#include "backend/cpu/quantized/kernels.inl"

namespace rnd1::cpu {
const QuantizedKernels* quantizedBaselineKernels() { return &quantized_baseline::table; }
}  // namespace rnd1::cpu
