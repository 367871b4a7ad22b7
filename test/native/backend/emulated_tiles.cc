// The kernels for AMX with tiles in plain memory: the same code, on every processor.
#include "emulated_tiles.h"

#define RND1_ISA emulated_tiles
#define RND1_ISA_NAME "emulated tiles"
#define RND1_LANES 4
#define RND1_TILE_ROWS 3
#define RND1_TILE_COLUMNS 4
#define RND1_USES_TILES
#define RND1_EMULATES_TILES
#include "backend/cpu/float/kernels.inl"

namespace rnd1::test {
const cpu::Kernels& emulatedTiles() { return cpu::emulated_tiles::table; }
}  // namespace rnd1::test
