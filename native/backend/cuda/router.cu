// The router's matmul. It is small, so that its sums are divided into pieces of the inner dimension, for a
// block each: otherwise most of the GPU would wait for a few blocks. Pieces depend on the weight alone, and
// are added in order.
#include "backend/cuda/device/dependent_launch.h"
#include "backend/cuda/device/shared.h"
#include "backend/cuda/kernels.h"
#include "backend/cuda/launch.h"
#include "backend/cuda/mma_tile.h"

namespace rnd1::cuda {
namespace {

constexpr int routerRows = 32;
constexpr int64_t pieceValues = 4 * mmaInner;

struct RouterArguments {
  Tensor x;
  WeightTile weight;
  int32_t experts;
  float* partials;  // (pieces, rows, experts)
};

template <DType type>
__global__ void __launch_bounds__(mmaThreads<routerRows>) routerKernel(RouterArguments given) {
  auto& shared = *reinterpret_cast<MmaMemory<1, routerRows>*>(sharedMemory());
  const auto column = static_cast<int32_t>(blockIdx.x) * mmaColumns, columns = given.experts - column;
  const int64_t first = blockIdx.z * pieceValues, left = given.x.columns - first;
  WeightTile weights[1] = {given.weight.from(column)};
  weights[0].data += first * bytesOf<type>;
  const MmaWeights<1, routerRows> stream(shared, weights, columns, left < pieceValues ? left : pieceValues);
  stream.prefetch();
  awaitPredecessors();
  const int64_t row = int64_t{blockIdx.y} * routerRows, valid = given.x.validRowCount();
  if (row >= valid) return finishCopies();
  MmaSums<1, routerRows> sums;
  multiplyMmaTile<type>(stream, given.x.columnRange(first, left), RowsFrom{row, valid}, sums);
  float* out = given.partials + (blockIdx.z * given.x.rows + row) * given.experts + column;
  forEachMmaResult<routerRows>([&](int r, int c, int n, int i) {
    if (row + r < valid && c < columns) out[int64_t{r} * given.experts + c] = sums[0][n].values[i];
  });
}

}  // namespace

int64_t routerPieces(int64_t hidden) {
  return std::max<int64_t>((hidden + pieceValues - 1) / pieceValues, 1);
}

void routerLogits(cudaStream_t stream, DType computeDtype, Tensor x, const Weight& router, float* partials) {
  const RouterArguments given{x, WeightTile::of(router), static_cast<int32_t>(router.rows), partials};
  const Grid grid{dim3(blocksFor(router.rows, mmaColumns), blocksFor(x.rows, routerRows),
                       static_cast<unsigned>(routerPieces(x.columns))),
                  mmaThreads<routerRows>, sizeof(MmaMemory<1, routerRows>)};
  if (computeDtype == DType::bf16) {
    launchEarly(stream, "route (logits)", grid, routerKernel<DType::bf16>, given);
  } else {
    launchEarly(stream, "route (logits)", grid, routerKernel<DType::f16>, given);
  }
}

}  // namespace rnd1::cuda
