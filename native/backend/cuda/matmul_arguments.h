#pragma once

#include "backend/cuda/kernels.h"
#include "backend/cuda/launch.h"
#include "backend/cuda/matmul_tile.h"

/** The products of one launch: x with a few weights side by side. */
namespace rnd1::cuda {

constexpr int maxWeights = 4;

struct MatmulArguments {
  Tensor x, out;
  WeightTile weights[maxWeights];
  int32_t columns[maxWeights];      // rows of each weight
  int32_t firstTile[maxWeights];    // index in the grid's x
  int32_t firstColumn[maxWeights];  // column of out
  int32_t count;
};

/** Weight rows that a block computes, from `column` on. */
struct ColumnTile {
  WeightTile weight;
  int32_t columns;  // remaining from `column` on
  int32_t out;      // first column in out
};

__device__ __forceinline__ int weightOfTile(const MatmulArguments& given, int32_t tile) {
  int which = 0;
  while (which + 1 < given.count && tile >= given.firstTile[which + 1]) ++which;
  return which;
}

__device__ __forceinline__ ColumnTile columnTile(const MatmulArguments& given, int32_t tile, int32_t width) {
  const int which = weightOfTile(given, tile);
  const int32_t column = (tile - given.firstTile[which]) * width;
  return {given.weights[which].from(column), given.columns[which] - column,
          given.firstColumn[which] + column};
}

/** matmul of weights of one format in clusters of blocks, for tiles of 64 weight rows. */
void matmulInClusters(cudaStream_t stream, DType computeDtype, const MatmulArguments& given, unsigned tiles,
                      std::span<const Weight> weights);

}  // namespace rnd1::cuda
