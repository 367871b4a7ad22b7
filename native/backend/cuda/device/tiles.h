#pragma once

#include <cuda_runtime.h>

#include <cstdint>

namespace rnd1::cuda {

/** Rows [firstRow, firstRow + rows) of the packed rows, all of one group (an expert, a canvas). */
struct GroupTile {
  int32_t group = 0;
  int32_t firstRow = 0;
  int32_t rows = 0;    // 0: this tile has nothing to do
  int32_t offset = 0;  // of firstRow within its group
};

/** How many tiles a launch needs at most, whatever the offsets turn out to be: they are data of the device.
 */
constexpr int64_t maxTiles(int64_t rows, int64_t groups, int64_t tileRows) {
  return rows / tileRows + groups;
}

/**
 * The tile of an index. Group g owns the indices from offsets[g] / tileRows + g: these never overlap, since
 * ⌊(a + n) / t⌋ + 1 ≥ ⌊a / t⌋ + ⌈n / t⌉, and no prefix sum of tile counts is needed.
 * offsets (groups + 1), ascending.
 */
__device__ __forceinline__ GroupTile tileOf(const int32_t* offsets, int32_t groups, int32_t index,
                                            int32_t tileRows) {
  int32_t low = 0, high = groups - 1;
  while (low < high) {
    const int32_t middle = (low + high + 1) / 2;
    if (offsets[middle] / tileRows + middle <= index) {
      low = middle;
    } else {
      high = middle - 1;
    }
  }
  GroupTile tile;
  tile.group = low;
  tile.offset = (index - (offsets[low] / tileRows + low)) * tileRows;
  tile.firstRow = offsets[low] + tile.offset;
  const int32_t left = offsets[low + 1] - tile.firstRow;
  tile.rows = left <= 0 ? 0 : left < tileRows ? left : tileRows;
  return tile;
}

/** Where 8 values of 16 bits lie in a tile whose rows have `width` of them: the 16-byte chunks of a row are
 * permuted, so that the eight rows of an ldmatrix lie in different banks. */
template <int width>
__device__ __forceinline__ int swizzled(int row, int chunk) {
  return row * width + (chunk ^ (row & 7)) * 8;
}

}  // namespace rnd1::cuda
