#pragma once

#include <cstdint>

namespace rnd1::cuda {

/** A 16 × 16 tile of 16-bit values, distributed over the lanes of a warp as the first operand of
 * mma.m16n8k16. */
struct FragmentA {
  uint32_t registers[4];
};

/** A 16 × 8 tile, as its second operand. */
struct FragmentB {
  uint32_t registers[2];
};

/** A 16 × 8 tile of f32: lane l has the rows l / 4 (values 0, 1) and l / 4 + 8 (2, 3), columns 2 · (l % 4) +
 * {0, 1}. */
struct FragmentC {
  float values[4];
};

}  // namespace rnd1::cuda
