// The mixture of experts: rows are grouped by expert on the device, where every tile of a launch looks up its
// expert. No atomics: each slot's product is written once, and combine adds them in a fixed order.
#include "backend/cuda/device/shared.h"
#include "backend/cuda/device/tiles.h"
#include "backend/cuda/kernels.h"
#include "backend/cuda/launch.h"
#include "backend/cuda/matmul_tile.h"
#include "backend/cuda/mma_tile.h"
#include "backend/cuda/wide_tile.h"

namespace rnd1::cuda {
namespace {

constexpr int combineThreads = 256;

struct ExpertArguments {
  Tensor x, out;
  const ExpertWeights* experts;
  int32_t count;           // number of experts
  const int32_t* offsets;  // (count + 1); null: one expert with all rows
  const int32_t* slots;    // null: slot = row
  int32_t width;           // columns of out
  int32_t divisor;         // slots per row of x; 1: a slot is a row of x
};

__device__ __forceinline__ GroupTile expertTile(const ExpertArguments& given, int32_t rows) {
  if (given.offsets) return tileOf(given.offsets, given.count, static_cast<int32_t>(blockIdx.y), rows);
  GroupTile tile;
  tile.firstRow = static_cast<int32_t>(blockIdx.y) * rows;
  const auto left = static_cast<int32_t>(given.x.validRowCount()) - tile.firstRow;
  tile.rows = left <= 0 ? 0 : left < rows ? left : rows;
  return tile;
}

__device__ __forceinline__ int32_t slotOf(const ExpertArguments& given, int32_t row) {
  return given.slots ? given.slots[row] : row;
}

__device__ __forceinline__ WeightTile tileOf(const Weight& weight) {
  return {weight.data, weight.strideBytes, weight.dtype};
}

__device__ __forceinline__ float silu(float x) { return x / (1.0f + expf(-x)); }

/** The matrices of a tile from weight row `column` on. products = 2: gate and up; 1: down. */
template <int products>
struct ExpertTiles {
  WeightTile weights[products];

  __device__ ExpertTiles(const ExpertWeights& expert, int32_t column) {
    if constexpr (products == 2) {
      weights[0] = tileOf(expert.gate).from(column);
      weights[1] = tileOf(expert.up).from(column);
    } else {
      weights[0] = tileOf(expert.down).from(column);
    }
  }
};

/** The row of x for a row of the tile; null after the last. */
__device__ __forceinline__ const float* sourceRow(const ExpertArguments& given, const GroupTile& tile,
                                                  int32_t row) {
  return row < tile.rows ? given.x.row(slotOf(given, tile.firstRow + row) / given.divisor) : nullptr;
}

/** Gate and up: SwiGLU, rounded. Down: the sum unchanged. */
template <int products, DType computeDtype>
__device__ __forceinline__ float resultOf(float first, float second) {
  return products == 2 ? rounded<computeDtype>(silu(first) * second) : first;
}

template <int products, DType computeDtype>
__global__ void __launch_bounds__(matmulThreads) expertKernel(ExpertArguments given) {
  auto& shared = *reinterpret_cast<MatmulMemory<products>*>(sharedMemory());
  const GroupTile tile = expertTile(given, tileRows);
  if (tile.rows == 0) return;
  const int32_t column = static_cast<int32_t>(blockIdx.x) * tileColumns;
  const int32_t columns = given.width - column;
  const ExpertTiles<products> tiles(given.experts[tile.group], column);
  Sums sums[products];
  multiplyTile<products, computeDtype>(shared, sourceRow(given, tile, static_cast<int32_t>(threadIdx.x / 4)),
                                       tiles.weights, columns, static_cast<int32_t>(given.x.columns), sums);
  for (int i = 0; i < 4; ++i) {
    const int32_t r = static_cast<int32_t>(threadIdx.x / 16) * 4 + i;
    if (r >= tile.rows) continue;
    float* out = given.out.row(slotOf(given, tile.firstRow + r)) + column;
    for (int j = 0; j < 4; ++j) {
      const int32_t c = static_cast<int32_t>(threadIdx.x % 16) * 4 + j;
      if (c < columns) out[c] = resultOf<products, computeDtype>(sums[0][i][j], sums[products - 1][i][j]);
    }
  }
}

template <int products, int rows, DType type>
__global__ void __launch_bounds__(mmaThreads) expertMmaKernel(ExpertArguments given) {
  auto& shared = *reinterpret_cast<MmaMemory<products, rows>*>(sharedMemory());
  const GroupTile tile = expertTile(given, rows);
  if (tile.rows == 0) return;
  const int32_t column = static_cast<int32_t>(blockIdx.x) * mmaColumns;
  const int32_t columns = given.width - column;
  const ExpertTiles<products> tiles(given.experts[tile.group], column);
  FragmentC sums[products][rows / 8];
  multiplyMmaTile<products, rows, type>(shared, sourceRow(given, tile, XLoader<rows>::row()), tiles.weights,
                                        columns, static_cast<int32_t>(given.x.columns), sums);
  forEachMmaResult<rows>([&](int r, int c, int n, int i) {
    if (r < tile.rows && c < columns)
      given.out.row(slotOf(given, tile.firstRow + r))[column + c] =
          resultOf<products, type>(sums[0][n].values[i], sums[products - 1][n].values[i]);
  });
}

/** `x` and `activated` are 16-bit; down writes given.out instead. */
template <int products, DType type>
__global__ void __launch_bounds__(wideThreads)
    expertWideKernel(ExpertArguments given, Narrow x, Narrow activated) {
  auto& shared = *reinterpret_cast<WideMemory*>(sharedMemory());
  const GroupTile tile = expertTile(given, wideRows);
  if (tile.rows == 0) return;
  const int32_t column = static_cast<int32_t>(blockIdx.x) * wideColumns<products>;
  const int32_t columns = given.width - column;
  const ExpertTiles<products> tiles(given.experts[tile.group], column);
  const auto mine = static_cast<int32_t>(threadIdx.x);
  shared.rows[mine] = mine < tile.rows ? slotOf(given, tile.firstRow + mine) / given.divisor : -1;
  WideSums sums;
  multiplyWideTile<products, type>(shared, x, tiles.weights, columns, static_cast<int32_t>(given.x.columns),
                                   sums);
  forEachWideResult<products>(sums, [&](int r, int c, float first, float second) {
    if (r >= tile.rows || c >= columns) return;
    const int64_t slot = slotOf(given, tile.firstRow + r);
    if constexpr (products == 2) {
      activated.data[slot * activated.stride + column + c] =
          static_cast<uint16_t>(pack<type>(silu(first) * second, 0.0f));
    } else {
      given.out.row(slot)[column + c] = first;
    }
  });
}

Grid expertGrid(const ExpertArguments& given, int columns, int rows, unsigned threads, size_t sharedBytes) {
  const int64_t tiles =
      given.offsets ? maxTiles(given.out.rows, given.count, rows) : int64_t{blocksFor(given.out.rows, rows)};
  return {dim3(blocksFor(given.width, columns), static_cast<unsigned>(tiles)), threads, sharedBytes};
}

template <int products, int rows>
void launchMma(cudaStream_t stream, const char* what, DType computeDtype, const ExpertArguments& given) {
  const Grid grid = expertGrid(given, mmaColumns, rows, mmaThreads, sizeof(MmaMemory<products, rows>));
  if (computeDtype == DType::bf16) {
    launch(stream, what, grid, expertMmaKernel<products, rows, DType::bf16>, given);
  } else {
    launch(stream, what, grid, expertMmaKernel<products, rows, DType::f16>, given);
  }
}

template <int products>
void launchWide(cudaStream_t stream, const char* what, DType computeDtype, const ExpertArguments& given,
                Narrow x, Narrow activated) {
  const Grid grid = expertGrid(given, wideColumns<products>, wideRows, wideThreads, sizeof(WideMemory));
  if (computeDtype == DType::bf16) {
    launch(stream, what, grid, expertWideKernel<products, DType::bf16>, given, x, activated);
  } else {
    launch(stream, what, grid, expertWideKernel<products, DType::f16>, given, x, activated);
  }
}

/** Whether all matmuls of a layer use the wide tile: down then reads the 16-bit output of gate and up. */
bool goesWide(const ExpertTable& table, const Borders& borders, int64_t slots) {
  return table.gateUpMma && table.downMma && borders.manySlots(slots, table.count);
}

template <int products>
void launchExperts(cudaStream_t stream, const char* what, DType computeDtype, const Borders& borders,
                   bool mma, const ExpertArguments& given) {
  if (mma) {
    // With few rows per expert, reading weights dominates, and smaller tiles waste less.
    if (borders.fewSlots(given.out.rows, given.count)) {
      launchMma<products, 32>(stream, what, computeDtype, given);
    } else {
      launchMma<products, 64>(stream, what, computeDtype, given);
    }
    return;
  }
  const Grid grid = expertGrid(given, tileColumns, tileRows, matmulThreads, sizeof(MatmulMemory<products>));
  dispatchDType(computeDtype,
                [&]<DType type>() { launch(stream, what, grid, expertKernel<products, type>, given); });
}

/** Rank of the expert with the lowest id above `last` among the k of a row. */
__device__ __forceinline__ int nextRank(const int32_t* ids, int64_t k, int32_t last) {
  int best = -1;
  for (int rank = 0; rank < k; ++rank)
    if (ids[rank] > last && (best < 0 || ids[rank] < ids[best])) best = rank;
  return best;
}

__global__ void __launch_bounds__(combineThreads)
    combineKernel(Tensor products, Dispatch dispatch, Tensor out) {
  const int64_t row = blockIdx.x;
  if (row >= out.validRowCount()) return;
  const int64_t k = dispatch.expertsPerToken;
  const int32_t* ids = dispatch.expertIds + row * k;
  for (int64_t column = threadIdx.x; column < out.columns; column += combineThreads) {
    float sum = 0;
    int32_t last = -1;
    for (int64_t i = 0; i < k; ++i) {
      const int rank = nextRank(ids, k, last);
      last = ids[rank];
      sum += dispatch.weights[row * k + rank] * products.row(row * k + rank)[column];
    }
    out.row(row)[column] = sum;
  }
}

ExpertArguments argumentsOf(Tensor x, const ExpertTable& table, const Dispatch& dispatch, Tensor out) {
  ExpertArguments given{};
  given.x = x;
  given.out = out;
  given.experts = table.experts;
  given.count = static_cast<int32_t>(table.count);
  given.offsets = dispatch.offsets;
  given.slots = dispatch.slots;
  given.width = static_cast<int32_t>(out.columns);
  given.divisor = 1;
  return given;
}

}  // namespace

void gateUp(cudaStream_t stream, DType computeDtype, const Borders& borders, Tensor x,
            const ExpertTable& table, const Dispatch& dispatch, Tensor activated,
            const ExpertScratch& scratch) {
  ExpertArguments given = argumentsOf(x, table, dispatch, activated);
  if (dispatch.slots) given.divisor = static_cast<int32_t>(dispatch.expertsPerToken);
  if (!goesWide(table, borders, activated.rows)) {
    launchExperts<2>(stream, "experts (gate, up)", computeDtype, borders, table.gateUpMma, given);
    return;
  }
  const Narrow narrowX{scratch.x, narrowStride(x.columns)};
  narrow(stream, computeDtype, x, narrowX);
  // Padding values at the end of a row of `activated` are multiplied by zeros.
  const Narrow narrowActivated{scratch.activated, narrowStride(activated.columns)};
  if (narrowActivated.stride > activated.columns)
    check(cudaMemsetAsync(scratch.activated, 0,
                          static_cast<size_t>(activated.rows * narrowActivated.stride) * 2, stream),
          "experts (gate, up)");
  launchWide<2>(stream, "experts (gate, up)", computeDtype, given, narrowX, narrowActivated);
}

void down(cudaStream_t stream, DType computeDtype, const Borders& borders, Tensor activated,
          const ExpertTable& table, const Dispatch& dispatch, Tensor products, const ExpertScratch& scratch) {
  const ExpertArguments given = argumentsOf(activated, table, dispatch, products);
  if (goesWide(table, borders, activated.rows)) {
    launchWide<1>(stream, "experts (down)", computeDtype, given,
                  {scratch.activated, narrowStride(activated.columns)}, {});
  } else {
    launchExperts<1>(stream, "experts (down)", computeDtype, borders, table.downMma, given);
  }
}

void combine(cudaStream_t stream, Tensor products, const Dispatch& dispatch, Tensor out) {
  launch(stream, "experts (combine)", {dim3(blocksFor(out.rows, 1)), combineThreads}, combineKernel, products,
         dispatch, out);
}

}  // namespace rnd1::cuda
