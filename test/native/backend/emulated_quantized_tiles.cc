// The quantized kernels for AMX with tiles in plain memory: the same code, on every processor.
#include "emulated_tiles.h"

#define RND1_ISA emulated_quantized_tiles
#define RND1_ISA_NAME "emulated tiles"
#define RND1_LANES 4
#define RND1_TILE_ROWS 3
#define RND1_USES_TILES
#define RND1_EMULATES_TILES
#include "backend/cpu/quantized/kernels.inl"

namespace rnd1::test {
const cpu::QuantizedKernels& emulatedQuantizedTiles() { return cpu::emulated_quantized_tiles::table; }
}  // namespace rnd1::test
