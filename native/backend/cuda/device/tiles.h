#pragma once

#include <cuda_runtime.h>

#include <cstdint>

namespace rnd1::cuda {

/** Rows [firstRow, firstRow + rows) of the packed rows, all of one group (an expert, a canvas). */
struct GroupTile {
  int32_t group = 0;
  int32_t firstRow = 0;
  int32_t rows = 0;    // 0: the tile is empty
  int32_t offset = 0;  // index of firstRow within its group
};

/** Upper bound of the tiles of a launch for any offsets, which the host does not know. */
constexpr int64_t maxTiles(int64_t rows, int64_t groups, int64_t tileRows) {
  return rows / tileRows + groups;
}

/**
 * The tile with an index. Group g has the indices from offsets[g] / tileRows + g on: these never overlap,
 * since ⌊(a + n) / t⌋ + 1 ≥ ⌊a / t⌋ + ⌈n / t⌉, and no prefix sum of tile counts is needed.
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

/** Offset of a chunk of 8 16-bit values in a tile with rows of `width` values: the 16-byte chunks of a row
 * are permuted, so that the eight rows of an ldmatrix are in different banks. */
template <int width>
__device__ __forceinline__ int swizzled(int row, int chunk) {
  return row * width + (chunk ^ (row & 7)) * 8;
}

}  // namespace rnd1::cuda
