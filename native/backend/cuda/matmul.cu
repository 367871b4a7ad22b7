// matmul and logits: x · weightᵀ for several weights side by side, four to a launch.
#include "backend/cuda/device/dependent_launch.h"
#include "backend/cuda/device/shared.h"
#include "backend/cuda/kernels.h"
#include "backend/cuda/matmul_arguments.h"
#include "backend/cuda/mma_tile.h"
#include "backend/cuda/quantized_tile.h"
#include "backend/cuda/wide_tile.h"

namespace rnd1::cuda {
namespace {

template <DType computeDtype>
__global__ void __launch_bounds__(matmulThreads) matmulKernel(MatmulArguments given) {
  awaitPredecessors();
  auto& shared = *reinterpret_cast<MatmulMemory<1>*>(sharedMemory());
  const ColumnTile tile = columnTile(given, static_cast<int32_t>(blockIdx.x), tileColumns);
  const WeightTile weights[1] = {tile.weight};
  const int64_t row = int64_t{blockIdx.y} * tileRows, loaded = row + threadIdx.x / 4;
  const int64_t valid = given.x.validRowCount();
  if (row >= valid) return;
  Sums sums[1];
  multiplyTile<1, computeDtype>(shared, given.x, loaded < valid ? loaded : -1, weights, tile.columns, sums);
  for (int i = 0; i < 4; ++i) {
    const int64_t r = row + threadIdx.x / 16 * 4 + i;
    if (r >= valid) continue;
    for (int j = 0; j < 4; ++j) {
      const int32_t c = static_cast<int32_t>(threadIdx.x % 16) * 4 + j;
      if (c < tile.columns) given.out.row(r)[tile.out + c] = sums[0][i][j];
    }
  }
}

template <int rows, DType type, DType stored>
__global__ void __launch_bounds__(mmaThreads<rows>) matmulMmaKernel(MatmulArguments given) {
  using Weights = MmaWeightsIn<stored, 1, rows>;
  auto& shared = *reinterpret_cast<typename Weights::Memory*>(sharedMemory());
  const ColumnTile tile = columnTile(given, static_cast<int32_t>(blockIdx.x), mmaColumns);
  const WeightTile weights[1] = {tile.weight};
  const Weights stream(shared, weights, tile.columns, given.x.columns);
  stream.prefetch();
  awaitPredecessors();
  const int64_t row = int64_t{blockIdx.y} * rows, valid = given.x.validRowCount();
  if (row >= valid) return finishCopies();
  MmaSums<1, rows> sums;
  multiplyMmaTile<type>(stream, given.x, RowsFrom{row, valid}, sums);
  forEachMmaResult<rows>([&](int r, int c, int n, int i) {
    if (row + r < valid && c < tile.columns) given.out.row(row + r)[tile.out + c] = sums[0][n].values[i];
  });
}

template <DType type, DType stored>
__global__ void __launch_bounds__(wideThreads) matmulWideKernel(MatmulArguments given) {
  using Weights = WideWeightsIn<stored, 1>;
  auto& shared = *reinterpret_cast<typename Weights::Memory*>(sharedMemory());
  const ColumnTile tile = columnTile(given, static_cast<int32_t>(blockIdx.x), wideColumns<1>);
  const WeightTile weights[1] = {tile.weight};
  const Weights stream(shared, weights, tile.columns, given.x.columns);
  stream.prefetch();
  awaitPredecessors();
  const int64_t first = int64_t{blockIdx.y} * wideRows, valid = given.x.validRowCount();
  if (first >= valid) return finishCopies();
  WideSums sums;
  multiplyWideTile<type>(stream, given.x, RowsFrom{first, valid}, sums);
  forEachWideResult<1>(sums, [&](int r, int c, float value, float) {
    if (first + r < valid && c < tile.columns) given.out.row(first + r)[tile.out + c] = value;
  });
}

void launchWide(cudaStream_t stream, DType computeDtype, unsigned tiles, const MatmulArguments& given) {
  dispatchMma(computeDtype, given.weights[0].dtype, [&]<DType type, DType stored>() {
    const Grid grid{dim3(tiles, blocksFor(given.x.rows, wideRows)), wideThreads,
                    sizeof(typename WideWeightsIn<stored, 1>::Memory)};
    launchEarly(stream, "matmul", grid, matmulWideKernel<type, stored>, given);
  });
}

template <int rows>
void launchMma(cudaStream_t stream, DType computeDtype, unsigned tiles, const MatmulArguments& given) {
  dispatchMma(computeDtype, given.weights[0].dtype, [&]<DType type, DType stored>() {
    const Grid grid{dim3(tiles, blocksFor(given.x.rows, rows)), mmaThreads<rows>,
                    sizeof(typename MmaWeightsIn<stored, 1, rows>::Memory)};
    launchEarly(stream, "matmul", grid, matmulMmaKernel<rows, type, stored>, given);
  });
}

}  // namespace

void matmul(cudaStream_t stream, DType computeDtype, const Borders& borders, Tensor x,
            std::span<const Weight> weights, Tensor out) {
  static_assert(tileColumns == mmaColumns);
  const bool mma = x.dtype != DType::f32 && suitMma(computeDtype, weights);
  int64_t column = 0;
  while (!weights.empty()) {
    // On tensor cores, weights of a launch have the same format.
    const DType stored = weights[0].dtype;
    const bool wide = mma && x.rows >= borders.manyRows;
    const std::span<const Weight> first = weights;
    MatmulArguments given{};
    given.x = x;
    given.out = out;
    unsigned tiles = 0;
    for (; !weights.empty() && given.count < maxWeights; weights = weights.subspan(1)) {
      const Weight& weight = weights[0];
      if (mma && weight.dtype != stored) break;
      const int32_t index = given.count++;
      given.weights[index] = WeightTile::of(weight);
      given.columns[index] = static_cast<int32_t>(weight.rows);
      given.firstTile[index] = static_cast<int32_t>(tiles);
      given.firstColumn[index] = static_cast<int32_t>(column);
      tiles += blocksFor(weight.rows, wide ? wideColumns<1> : tileColumns);
      column += weight.rows;
    }
    if (!mma) {
      const Grid grid{dim3(tiles, blocksFor(x.rows, tileRows)), matmulThreads, sizeof(MatmulMemory<1>)};
      dispatchDType(computeDtype,
                    [&]<DType type>() { launchEarly(stream, "matmul", grid, matmulKernel<type>, given); });
    } else if (wide) {
      launchWide(stream, computeDtype, tiles, given);
    } else if (borders.clusters && x.rows > borders.mediumRows) {
      matmulInClusters(stream, computeDtype, given, tiles, first.first(static_cast<size_t>(given.count)));
    } else if (x.rows <= borders.fewRows) {
      launchMma<32>(stream, computeDtype, tiles, given);
    } else if (x.rows <= borders.mediumRows) {
      launchMma<64>(stream, computeDtype, tiles, given);
    } else {
      launchMma<128>(stream, computeDtype, tiles, given);
    }
  }
}

}  // namespace rnd1::cuda
