#pragma once

#include "backend/cuda/attention.h"
#include "backend/cuda/device/tiles.h"

namespace rnd1::cuda {

/** The cache of a canvas; without data if it has none. */
__device__ __forceinline__ CanvasCache cacheOf(const LayerCaches& caches, int32_t canvas) {
  return caches.canvases ? caches.canvases[canvas] : CanvasCache();
}

/** How many keys of their canvas the queries of a tile see. */
struct VisibleKeys {
  const int32_t* positions;  // of the tile's queries
  int32_t last;              // index of the last one
  int32_t keys;              // of the canvas
  AttentionMask mask;

  __device__ __forceinline__ VisibleKeys(const AttentionArguments& given, const GroupTile& tile,
                                         const CanvasCache& cache)
      : positions(given.rows.positions + tile.firstRow), last(tile.rows - 1), mask(given.mask) {
    const int32_t* const offsets = given.rows.keys.offsets + tile.group;
    keys = cache.data ? cache.keys : offsets[1] - offsets[0];
  }

  /** Queries beyond the tile's see what the last one sees. */
  __device__ __forceinline__ int32_t of(int32_t query) const {
    return mask.visible(positions[query < last ? query : last], keys);
  }
  __device__ __forceinline__ int32_t all() const { return of(last); }
};

}  // namespace rnd1::cuda
