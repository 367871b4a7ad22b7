// The kernels, compiled once per instruction set. The including unit defines RND1_ISA (a namespace of its
// own), RND1_LANES, and the register tile of matmuls, RND1_TILE_ROWS · RND1_TILE_COLUMNS, and includes the
// intrinsics it needs beyond SSE2. With RND1_USES_TILES, bf16 is multiplied in the tiles of tiles.inl, with
// RND1_MULTIPLIES_PAIRS pair by pair of rows.
// Everything here is static.

#if defined(__aarch64__)
#include <arm_neon.h>
#elif defined(__SSE2__)
#include <emmintrin.h>
#endif

namespace rnd1::cpu::RND1_ISA {
namespace {

// Each file uses the previous ones.
// clang-format off
#include "backend/cpu/float/vector.inl"
#include "backend/cpu/float/shuffles.inl"
#include "backend/cpu/float/operands.inl"
#include "backend/cpu/float/conversions.inl"
#ifdef RND1_USES_TILES
#include "backend/cpu/tiles.inl"
#endif
#include "backend/cpu/float/register_tiles.inl"
#include "backend/cpu/float/matmul.inl"
#include "backend/cpu/float/norms.inl"
#include "backend/cpu/float/rope.inl"
#include "backend/cpu/float/attention.inl"
#include "backend/cpu/float/statistics.inl"
#include "backend/cpu/float/draw.inl"
#include "backend/cpu/float/peak.inl"
#include "backend/cpu/training/product.inl"
#include "backend/cpu/training/gradients.inl"
// clang-format on

#if defined(RND1_MULTIPLIES_BF16) || defined(RND1_USES_TILES)
constexpr bool multipliesBf16 = true;
#else
constexpr bool multipliesBf16 = false;
#endif
#ifdef RND1_MULTIPLIES_F16
constexpr bool multipliesF16 = true;
#else
constexpr bool multipliesF16 = false;
#endif

constexpr Kernels table = {
    RND1_ISA_NAME,
    multipliesBf16,
    multipliesF16,
    widen,
    narrow,
    round,
    multiply,
    multiplyAccumulate,
    gateUp,
    addRmsNorm,
    add,
    normRopeHead,
    attention,
    statistics,
    likelyDraws,
    multiplyAddLoop,
    multiplyAddsPerRound,
    &trainingTable,
};

}  // namespace
}  // namespace rnd1::cpu::RND1_ISA
