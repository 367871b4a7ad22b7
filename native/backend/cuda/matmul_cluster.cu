// matmul on GPUs with clusters, for rows of one canvas: most of the time would go into reading x from the L2
// cache for every tile of weights.
#include <algorithm>

#include "backend/cuda/cluster_tile.h"
#include "backend/cuda/device/shared.h"
#include "backend/cuda/matmul_arguments.h"

namespace rnd1::cuda {
namespace {

struct ClusterArguments {
  MatmulArguments matmul;
  ClusterOperand x;
  TensorMap maps[maxWeights];  // unless quantized
  int32_t across, down;
};

template <int rows, DType type, DType stored>
__global__ void __launch_bounds__(clusterThreads<rows, 1>, 2)
    matmulClusterKernel(const __grid_constant__ ClusterArguments given) {
  using Stream = ClusterStream<stored, rows, 1, clusterStages<rows>>;
  auto& shared = *reinterpret_cast<typename Stream::Memory*>(sharedMemory());
  const ClusterPlace place(given.across, given.down);
  const MatmulArguments& matmul = given.matmul;
  const auto tile = static_cast<int32_t>(blockIdx.x);
  const int which = weightOfTile(matmul, tile);
  // The last cluster may have blocks without weights, which repeat the last ones.
  const int32_t column = (tile - matmul.firstTile[which]) * mmaColumns, all = matmul.columns[which];
  const int32_t source = column < all ? column : (all - 1) / mmaColumns * mmaColumns;
  const ClusterWeights weights{&given.maps[which], matmul.weights[which].from(source), source, all - source};
  Stream stream(shared, place);
  if (threadIdx.x == Stream::threads) stream.prefetch(weights);
  awaitPredecessors();
  const int64_t row = int64_t{blockIdx.y} * rows, valid = matmul.x.validRowCount();
  // Of all blocks of the cluster.
  if (row - int64_t{place.row} * rows >= valid) return;
  if (stream.copies()) {
    if (threadIdx.x == Stream::threads) stream.copy(given.x, static_cast<int32_t>(row), weights);
  } else {
    MmaSums<1, rows, 1> sums;
    stream.template multiply<type>(given.x.inner, weights, sums);
    forEachMmaResult<rows, 1>([&](int r, int c, int n, int i) {
      if (row + r < valid && column + c < all)
        matmul.out.row(row + r)[matmul.firstColumn[which] + column + c] = sums[0][n].values[i];
    });
  }
  stream.finish();
}

template <int rows>
void launchClusters(cudaStream_t stream, DType computeDtype, ClusterArguments& given, unsigned tiles,
                    std::span<const Weight> weights) {
  const ClusterShape shape = clusterShape(given.matmul.x.rows, rows);
  given.across = shape.across;
  given.down = shape.down;
  given.x = clusterOperand(given.matmul.x, computeDtype, rows, shape);
  const DType stored = weights[0].dtype;
  for (size_t i = 0; i < weights.size() && !isQuantized(stored); ++i)
    given.maps[i] = clusterWeightMap(weights[i], shape);
  dispatchMma(computeDtype, stored, [&]<DType type, DType format>() {
    Grid grid{
        dim3(roundedUp(tiles, shape.across), roundedUp(blocksFor(given.matmul.x.rows, rows), shape.down)),
        clusterThreads<rows, 1>,
        sizeof(typename ClusterStream<format, rows, 1, clusterStages<rows>>::Memory)};
    grid.cluster = dim3(static_cast<unsigned>(shape.across), static_cast<unsigned>(shape.down));
    launchEarly(stream, "matmul", grid, matmulClusterKernel<rows, type, format>, given);
  });
}

}  // namespace

void matmulInClusters(cudaStream_t stream, DType computeDtype, const MatmulArguments& given, unsigned tiles,
                      std::span<const Weight> weights) {
  ClusterArguments all{};
  all.matmul = given;
  // Tiles of 64 rows where those of 128 would not fill a GPU.
  constexpr int64_t enoughBlocks = 128;
  if (tiles * int64_t{blocksFor(given.x.rows, 128)} >= enoughBlocks) {
    launchClusters<128>(stream, computeDtype, all, tiles, weights);
  } else {
    launchClusters<64>(stream, computeDtype, all, tiles, weights);
  }
}

}  // namespace rnd1::cuda
