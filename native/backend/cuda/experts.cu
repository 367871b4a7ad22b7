// The mixture of experts: rows are grouped by expert on the device, where every tile of a launch looks up its
// expert. No atomics: each slot's product is written once, and combine adds them in a fixed order.
#include "backend/cuda/device/dependent_launch.h"
#include "backend/cuda/device/shared.h"
#include "backend/cuda/device/tiles.h"
#include "backend/cuda/kernels.h"
#include "backend/cuda/launch.h"
#include "backend/cuda/matmul_tile.h"
#include "backend/cuda/mma_tile.h"
#include "backend/cuda/quantized_tile.h"
#include "backend/cuda/wide_tile.h"

namespace rnd1::cuda {
namespace {

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

__device__ __forceinline__ float silu(float x) { return x / (1.0f + expf(-x)); }

/**
 * The matrices of a block from weight row `column` on. products = 2: gate and up; 1: down, of which it may
 * take two tiles side by side, so that a row of x is read once for both.
 */
template <int products, int tiles = 1>
struct ExpertTiles {
  static_assert(products == 1 || tiles == 1);
  WeightTile weights[products * tiles];

  __device__ ExpertTiles(const ExpertWeights& expert, int32_t column) {
    if constexpr (products == 2) {
      weights[0] = WeightTile::of(expert.gate).from(column);
      weights[1] = WeightTile::of(expert.up).from(column);
    } else {
      for (int tile = 0; tile < tiles; ++tile)
        weights[tile] = WeightTile::of(expert.down).from(column + tile * mmaColumns);
    }
  }
};

/** The row of x for a row of the tile; after the last, that of the last. */
__device__ __forceinline__ int64_t sourceRow(const ExpertArguments& given, const GroupTile& tile,
                                             int32_t row) {
  const int32_t last = tile.rows - 1;
  return slotOf(given, tile.firstRow + (row < last ? row : last)) / given.divisor;
}

/** Gate and up: SwiGLU, rounded. Down: the sum unchanged. */
template <int products, DType computeDtype>
__device__ __forceinline__ void setResult(const Tensor& out, int64_t slot, int32_t column, float first,
                                          float second) {
  if constexpr (products == 2) {
    setRounded<computeDtype>(out, slot, column, silu(first) * second);
  } else {
    out.row(slot)[column] = first;
  }
}

template <int products, DType computeDtype>
__global__ void __launch_bounds__(matmulThreads) expertKernel(ExpertArguments given) {
  awaitPredecessors();
  auto& shared = *reinterpret_cast<MatmulMemory<products>*>(sharedMemory());
  const GroupTile tile = expertTile(given, tileRows);
  if (tile.rows == 0) return;
  const int32_t column = static_cast<int32_t>(blockIdx.x) * tileColumns;
  const int32_t columns = given.width - column;
  const ExpertTiles<products> tiles(given.experts[tile.group], column);
  Sums sums[products];
  multiplyTile<products, computeDtype>(shared, given.x,
                                       sourceRow(given, tile, static_cast<int32_t>(threadIdx.x / 4)),
                                       tiles.weights, columns, sums);
  for (int i = 0; i < 4; ++i) {
    const int32_t r = static_cast<int32_t>(threadIdx.x / 16) * 4 + i;
    if (r >= tile.rows) continue;
    const int64_t slot = slotOf(given, tile.firstRow + r);
    for (int j = 0; j < 4; ++j) {
      const int32_t c = static_cast<int32_t>(threadIdx.x % 16) * 4 + j;
      if (c < columns)
        setResult<products, computeDtype>(given.out, slot, column + c, sums[0][i][j],
                                          sums[products - 1][i][j]);
    }
  }
}

// Otherwise some registers of q5 are spilled for a sixth block.
template <int sums, int rows, DType stored>
constexpr int fewestBlocks = sums == 1 && rows == 64 && stored == DType::q5 ? 5 : 0;

/** With two tiles, `width` is a multiple of both. */
template <int products, int tiles, int rows, DType type, DType stored>
__global__ void __launch_bounds__(mmaThreads<rows>, fewestBlocks<products * tiles, rows, stored>)
    expertMmaKernel(ExpertArguments given) {
  awaitPredecessors();
  using Weights = MmaWeightsIn<stored, products * tiles, rows>;
  auto& shared = *reinterpret_cast<typename Weights::Memory*>(sharedMemory());
  const GroupTile tile = expertTile(given, rows);
  if (tile.rows == 0) return;
  const int32_t column = static_cast<int32_t>(blockIdx.x) * tiles * mmaColumns;
  const int32_t columns = given.width - column;
  const ExpertTiles<products, tiles> matrices(given.experts[tile.group], column);
  MmaSums<products * tiles, rows> sums;
  const Weights stream(shared, matrices.weights, columns, given.x.columns);
  stream.prefetch();
  multiplyMmaTile<type>(
      stream, given.x, [&](int r) { return sourceRow(given, tile, r); }, sums);
  forEachMmaResult<rows>([&](int r, int c, int n, int i) {
    if (r >= tile.rows || c >= columns) return;
    const int64_t slot = slotOf(given, tile.firstRow + r);
#pragma unroll
    for (int t = 0; t < tiles; ++t)
      setResult<products, type>(given.out, slot, column + c + t * mmaColumns, sums[t][n].values[i],
                                sums[products - 1][n].values[i]);
  });
}

template <int products, DType type, DType stored>
__global__ void __launch_bounds__(wideThreads) expertWideKernel(ExpertArguments given) {
  awaitPredecessors();
  using Weights = WideWeightsIn<stored, products>;
  auto& shared = *reinterpret_cast<typename Weights::Memory*>(sharedMemory());
  const GroupTile tile = expertTile(given, wideRows);
  if (tile.rows == 0) return;
  const int32_t column = static_cast<int32_t>(blockIdx.x) * wideColumns<products>;
  const int32_t columns = given.width - column;
  const ExpertTiles<products> tiles(given.experts[tile.group], column);
  WideSums sums;
  const Weights stream(shared, tiles.weights, columns, given.x.columns);
  stream.prefetch();
  multiplyWideTile<type>(
      stream, given.x, [&](int r) { return sourceRow(given, tile, r); }, sums);
  forEachWideResult<products>(sums, [&](int r, int c, float first, float second) {
    if (r < tile.rows && c < columns)
      setResult<products, type>(given.out, slotOf(given, tile.firstRow + r), column + c, first, second);
  });
}

Grid expertGrid(const ExpertArguments& given, int columns, int rows, unsigned threads, size_t sharedBytes) {
  const int64_t tiles =
      given.offsets ? maxTiles(given.out.rows, given.count, rows) : int64_t{blocksFor(given.out.rows, rows)};
  return {dim3(blocksFor(given.width, columns), static_cast<unsigned>(tiles)), threads, sharedBytes};
}

template <int products, int tiles, int rows>
void launchMma(cudaStream_t stream, const char* what, DType computeDtype, DType stored,
               const ExpertArguments& given) {
  dispatchMma(computeDtype, stored, [&]<DType type, DType format>() {
    const Grid grid = expertGrid(given, tiles * mmaColumns, rows, mmaThreads<rows>,
                                 sizeof(typename MmaWeightsIn<format, products * tiles, rows>::Memory));
    launchEarly(stream, what, grid, expertMmaKernel<products, tiles, rows, type, format>, given);
  });
}

template <int products, int rows>
void launchMma(cudaStream_t stream, const char* what, DType computeDtype, DType stored,
               const ExpertArguments& given) {
  if (products == 1 && given.width % (2 * mmaColumns) == 0) {
    launchMma<products, products == 1 ? 2 : 1, rows>(stream, what, computeDtype, stored, given);
  } else {
    launchMma<products, 1, rows>(stream, what, computeDtype, stored, given);
  }
}

template <int products>
void launchWide(cudaStream_t stream, const char* what, DType computeDtype, DType stored,
                const ExpertArguments& given) {
  dispatchMma(computeDtype, stored, [&]<DType type, DType format>() {
    const Grid grid = expertGrid(given, wideColumns<products>, wideRows, wideThreads,
                                 sizeof(typename WideWeightsIn<format, products>::Memory));
    launchEarly(stream, what, grid, expertWideKernel<products, type, format>, given);
  });
}

/** stored: the format of all matrices if tensor cores multiply them, otherwise f32. */
template <int products>
void launchExperts(cudaStream_t stream, const char* what, DType computeDtype, const Borders& borders,
                   DType stored, const ExpertArguments& given) {
  const bool mma = stored != DType::f32;
  if (mma && borders.manySlots(given.out.rows, given.count)) {
    launchWide<products>(stream, what, computeDtype, stored, given);
    return;
  }
  if (mma) {
    // With few rows per expert, reading weights dominates, and smaller tiles waste less.
    if (borders.fewSlots(given.out.rows, given.count)) {
      launchMma<products, 32>(stream, what, computeDtype, stored, given);
    } else {
      launchMma<products, 64>(stream, what, computeDtype, stored, given);
    }
    return;
  }
  const Grid grid = expertGrid(given, tileColumns, tileRows, matmulThreads, sizeof(MatmulMemory<products>));
  dispatchDType(computeDtype,
                [&]<DType type>() { launchEarly(stream, what, grid, expertKernel<products, type>, given); });
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
            const ExpertTable& table, const Dispatch& dispatch, Tensor activated) {
  ExpertArguments given = argumentsOf(x, table, dispatch, activated);
  if (dispatch.slots) given.divisor = static_cast<int32_t>(dispatch.expertsPerToken);
  // Padding at the end of a row of `activated` is multiplied by zeros.
  if (activated.dtype != DType::f32 && activated.stride > activated.columns)
    check(cudaMemsetAsync(activated.data, 0, static_cast<size_t>(activated.rows * activated.stride) * 2,
                          stream),
          "experts (gate, up)");
  launchExperts<2>(stream, "experts (gate, up)", computeDtype, borders, table.gateUp, given);
}

void down(cudaStream_t stream, DType computeDtype, const Borders& borders, Tensor activated,
          const ExpertTable& table, const Dispatch& dispatch, Tensor products) {
  launchExperts<1>(stream, "experts (down)", computeDtype, borders, table.down,
                   argumentsOf(activated, table, dispatch, products));
}

}  // namespace rnd1::cuda
