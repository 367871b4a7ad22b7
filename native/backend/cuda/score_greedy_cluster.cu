// Greedy scores on GPUs with clusters: blocks with the same rows share tiles of x, those with the same part
// of the vocabulary share tiles of the head.
#include "backend/cuda/cluster_tile.h"
#include "backend/cuda/device/shared.h"
#include "backend/cuda/greedy_rows.h"
#include "backend/cuda/launch.h"

namespace rnd1::cuda {
namespace {

constexpr int rows = 128;
constexpr int threads = mmaThreads<rows>;  // that multiply
constexpr int stages = 3;

struct ClusterArguments {
  GreedyArguments greedy;
  ClusterOperand x;
  TensorMap head;  // unless quantized
  int32_t across, down;
};

template <DType stored>
struct ClusterScores {
  typename ClusterStream<stored, rows, 2, stages>::Memory stream;
  float tile[rows * tileStride];
};

template <DType type, DType stored>
__global__ void __launch_bounds__(clusterThreads<rows, 2>, 2)
    greedyClusterKernel(const __grid_constant__ ClusterArguments given) {
  using Stream = ClusterStream<stored, rows, 2, stages>;
  auto& shared = *reinterpret_cast<ClusterScores<stored>*>(sharedMemory());
  const ClusterPlace place(given.across, given.down);
  const GreedyArguments& greedy = given.greedy;
  const auto part = static_cast<int32_t>(blockIdx.x);
  // All blocks of a cluster take as many tiles. After the last one, they repeat it.
  const auto firstToken = [&](int tile) { return (part * tilesPerBlock + tile) * greedyColumns; };
  const auto weightsOf = [&](int tile) {
    const int32_t first = firstToken(tile), all = greedy.vocabulary;
    const int32_t source = first < all ? first : (all - 1) / greedyColumns * greedyColumns;
    return ClusterWeights{&given.head, greedy.lmHead.from(source), source, all - source};
  };
  Stream stream(shared.stream, place);
  if (threadIdx.x == threads) stream.prefetch(weightsOf(0));
  awaitPredecessors();
  const int64_t row = int64_t{blockIdx.y} * rows;
  // Of all blocks of the cluster.
  if (row - int64_t{place.row} * rows >= greedy.x.validRowCount()) return;
  if (stream.copies()) {
    if (threadIdx.x == threads)
      for (int tile = 0; tile < tilesPerBlock; ++tile)
        stream.copy(given.x, static_cast<int32_t>(row), weightsOf(tile));
  } else {
    RowShare<threads, rows> share(greedy, row);
    for (int tile = 0; tile < tilesPerBlock; ++tile) {
      MmaSums<1, rows> sums;
      stream.template multiply<type>(given.x.inner, weightsOf(tile), sums);
      forEachMmaResult<rows>(
          [&](int r, int c, int n, int i) { shared.tile[r * tileStride + c] = sums[0][n].values[i]; });
      syncSome<1, threads>();
      const int32_t first = firstToken(tile), left = greedy.vocabulary - first;
      if (left > 0) share.look(shared.tile, first, left < greedyColumns ? left : greedyColumns);
      syncSome<1, threads>();  // the next product overwrites the tile
    }
    if (part < greedy.parts) share.write(part);
  }
  stream.finish();
}

}  // namespace

void scoreInClusters(cudaStream_t stream, DType computeDtype, const GreedyArguments& given,
                     const Weight& lmHead) {
  const ClusterShape shape = clusterShape(given.x.rows, rows);
  ClusterArguments all{
      given, clusterOperand(given.x, computeDtype, rows, shape), {}, shape.across, shape.down};
  if (!lmHead.quantized()) all.head = clusterWeightMap(lmHead, shape);
  dispatchMma(computeDtype, lmHead.dtype, [&]<DType type, DType stored>() {
    Grid grid{dim3(roundedUp(static_cast<unsigned>(given.parts), shape.across),
                   roundedUp(blocksFor(given.x.rows, rows), shape.down)),
              clusterThreads<rows, 2>, (sizeof(ClusterScores<stored>) + 1023) / 1024 * 1024};
    grid.cluster = dim3(static_cast<unsigned>(shape.across), static_cast<unsigned>(shape.down));
    launchEarly(stream, "score (greedy)", grid, greedyClusterKernel<type, stored>, all);
  });
}

}  // namespace rnd1::cuda
