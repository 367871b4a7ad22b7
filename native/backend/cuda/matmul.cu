// matmul and logits: x · weightᵀ for several weights side by side, four to a launch.
#include <algorithm>

#include "backend/cuda/device/shared.h"
#include "backend/cuda/kernels.h"
#include "backend/cuda/launch.h"
#include "backend/cuda/mma_tile.h"
#include "backend/cuda/matmul_tile.h"
#include "backend/cuda/wide_tile.h"

namespace rnd1::cuda {
namespace {

constexpr int weightsAtMost = 4;

struct ProductArguments {
  Tensor x, out;
  WeightTile weights[weightsAtMost];
  int32_t columns[weightsAtMost];      // rows of each weight
  int32_t firstTile[weightsAtMost];    // of the grid's x
  int32_t firstColumn[weightsAtMost];  // of out
  int32_t count;
};

/** What a block of the grid computes: weight rows from `column` on. */
struct ColumnTile {
  WeightTile weight;
  int32_t columns;  // that there are from there on
  int32_t out;      // the first column of out
};

__device__ __forceinline__ ColumnTile columnTile(const ProductArguments& given, int32_t tile, int32_t width) {
  int which = 0;
  while (which + 1 < given.count && tile >= given.firstTile[which + 1]) ++which;
  const int32_t column = (tile - given.firstTile[which]) * width;
  return {given.weights[which].from(column), given.columns[which] - column,
          given.firstColumn[which] + column};
}

template <DType arithmetic>
__global__ void __launch_bounds__(productThreads) productKernel(ProductArguments given) {
  auto& shared = *reinterpret_cast<ProductMemory<1>*>(sharedMemory());
  const ColumnTile tile = columnTile(given, static_cast<int32_t>(blockIdx.x), tileColumns);
  const WeightTile weights[1] = {tile.weight};
  const int64_t row = int64_t{blockIdx.y} * tileRows, loaded = row + threadIdx.x / 4;
  const int64_t live = given.x.liveRows();
  if (row >= live) return;
  Sums sums[1];
  multiplyTile<1, arithmetic>(shared, loaded < live ? given.x.row(loaded) : nullptr, weights, tile.columns,
                              static_cast<int32_t>(given.x.columns), sums);
  for (int i = 0; i < 4; ++i) {
    const int64_t r = row + threadIdx.x / 16 * 4 + i;
    if (r >= live) continue;
    for (int j = 0; j < 4; ++j) {
      const int32_t c = static_cast<int32_t>(threadIdx.x % 16) * 4 + j;
      if (c < tile.columns) given.out.row(r)[tile.out + c] = sums[0][i][j];
    }
  }
}

template <int rows, DType type>
__global__ void __launch_bounds__(mmaThreads) productMmaKernel(ProductArguments given) {
  auto& shared = *reinterpret_cast<MmaMemory<1, rows>*>(sharedMemory());
  const ColumnTile tile = columnTile(given, static_cast<int32_t>(blockIdx.x), mmaColumns);
  const WeightTile weights[1] = {tile.weight};
  const int64_t row = int64_t{blockIdx.y} * rows, loaded = row + XLoader<rows>::row();
  const int64_t live = given.x.liveRows();
  if (row >= live) return;
  FragmentC sums[1][rows / 8];
  multiplyMmaTile<1, rows, type>(shared, loaded < live ? given.x.row(loaded) : nullptr, weights, tile.columns,
                                 static_cast<int32_t>(given.x.columns), sums);
  forEachMmaResult<rows>([&](int r, int c, int n, int i) {
    if (row + r < live && c < tile.columns) given.out.row(row + r)[tile.out + c] = sums[0][n].values[i];
  });
}

template <DType type>
__global__ void __launch_bounds__(wideThreads) productWideKernel(ProductArguments given, Narrow x) {
  auto& shared = *reinterpret_cast<WideMemory*>(sharedMemory());
  const ColumnTile tile = columnTile(given, static_cast<int32_t>(blockIdx.x), wideColumns<1>);
  const WeightTile weights[1] = {tile.weight};
  const int64_t first = int64_t{blockIdx.y} * wideRows, live = given.x.liveRows();
  if (first >= live) return;
  const int64_t mine = first + threadIdx.x;
  shared.rows[threadIdx.x] = mine < live ? static_cast<int32_t>(mine) : -1;
  WideSums sums;
  multiplyWideTile<1, type>(shared, x, weights, tile.columns, static_cast<int32_t>(given.x.columns), sums);
  forEachWideResult<1>(sums, [&](int r, int c, float value, float) {
    if (first + r < live && c < tile.columns) given.out.row(first + r)[tile.out + c] = value;
  });
}

void launchWide(cudaStream_t stream, DType arithmetic, unsigned tiles, const ProductArguments& given,
                Narrow x) {
  const Grid grid{dim3(tiles, blocksFor(given.x.rows, wideRows)), wideThreads, sizeof(WideMemory)};
  if (arithmetic == DType::bf16) {
    launch(stream, "matmul", grid, productWideKernel<DType::bf16>, given, x);
  } else {
    launch(stream, "matmul", grid, productWideKernel<DType::f16>, given, x);
  }
}

template <int rows>
void launchMma(cudaStream_t stream, DType arithmetic, unsigned tiles, const ProductArguments& given) {
  const Grid grid{dim3(tiles, blocksFor(given.x.rows, rows)), mmaThreads, sizeof(MmaMemory<1, rows>)};
  if (arithmetic == DType::bf16) {
    launch(stream, "matmul", grid, productMmaKernel<rows, DType::bf16>, given);
  } else {
    launch(stream, "matmul", grid, productMmaKernel<rows, DType::f16>, given);
  }
}

}  // namespace

void product(cudaStream_t stream, DType arithmetic, const Borders& borders, Tensor x,
             std::span<const Weight> weights, Tensor out, uint16_t* narrowed) {
  static_assert(tileColumns == mmaColumns && wideRows == wideThreads);
  const bool mma = std::all_of(weights.begin(), weights.end(),
                               [&](const Weight& weight) { return suitsMma(arithmetic, weight); });
  const bool wide = mma && narrowed;
  const Narrow narrowX{narrowed, narrowStride(x.columns)};
  if (wide) narrow(stream, arithmetic, x, narrowX);
  int64_t column = 0;
  while (!weights.empty()) {
    ProductArguments given{};
    given.x = x;
    given.out = out;
    unsigned tiles = 0;
    for (; !weights.empty() && given.count < weightsAtMost; weights = weights.subspan(1)) {
      const Weight& weight = weights[0];
      const int32_t index = given.count++;
      given.weights[index] = {weight.data, weight.strideBytes, weight.dtype};
      given.columns[index] = static_cast<int32_t>(weight.rows);
      given.firstTile[index] = static_cast<int32_t>(tiles);
      given.firstColumn[index] = static_cast<int32_t>(column);
      tiles += blocksFor(weight.rows, wide ? wideColumns<1> : tileColumns);
      column += weight.rows;
    }
    if (!mma) {
      const Grid grid{dim3(tiles, blocksFor(x.rows, tileRows)), productThreads, sizeof(ProductMemory<1>)};
      dispatchDType(arithmetic,
                    [&]<DType type>() { launch(stream, "matmul", grid, productKernel<type>, given); });
    } else if (wide) {
      launchWide(stream, arithmetic, tiles, given, narrowX);
    } else if (x.rows <= borders.fewRows) {
      launchMma<32>(stream, arithmetic, tiles, given);
    } else {
      launchMma<64>(stream, arithmetic, tiles, given);
    }
  }
}

}  // namespace rnd1::cuda
