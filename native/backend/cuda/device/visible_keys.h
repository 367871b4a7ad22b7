#pragma once

#include "backend/cuda/attention.h"
#include "backend/cuda/device/tiles.h"

namespace rnd1::cuda {

/** How many keys of their canvas the queries of a tile see. */
struct VisibleKeys {
  int32_t position;  // of the tile's first query
  int32_t keys;      // of the canvas
  AttentionMask mask;

  __device__ __forceinline__ VisibleKeys(const AttentionArguments& given, const GroupTile& tile)
      : keys(given.keys.offsets[tile.group + 1] - given.keys.offsets[tile.group]), mask(given.mask) {
    const int32_t queries = given.queries.offsets[tile.group + 1] - given.queries.offsets[tile.group];
    position = keys - queries + tile.offset;
  }

  __device__ __forceinline__ int32_t of(int32_t query) const { return mask.visible(position + query, keys); }
};

}  // namespace rnd1::cuda
