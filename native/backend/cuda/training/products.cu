// Products of rows with weights in either direction, and gradients of weights.
#include "backend/cuda/device/half.h"
#include "backend/cuda/device/shared.h"
#include "backend/cuda/device/tiles.h"
#include "backend/cuda/launch.h"
#include "backend/cuda/training/kernels.h"
#include "backend/cuda/training/product_tile.h"

namespace rnd1::cuda {
namespace {

/** Steps whose sum is added to a result at a time. */
constexpr int64_t productSteps = 1024;

static_assert(statisticsBlock % productSteps == 0,
              "sums do not depend on how much of a vocabulary is in memory");

__device__ __forceinline__ const Weight& matrixOf(const ExpertWeights& expert, ExpertMatrix which) {
  return which == ExpertMatrix::gate ? expert.gate : which == ExpertMatrix::up ? expert.up : expert.down;
}

struct RowArguments {
  Tensor a, out;
  const int32_t* aRows;
  RowGroups groups;
  bool accumulates;
};

__device__ __forceinline__ float wide(float value) { return value; }
__device__ __forceinline__ float wide(uint16_t value) { return widen<DType::bf16>(value); }

/** plain: a · weight, otherwise a · weightᵀ. Elements of the weight: float, or uint16_t of bf16. */
template <bool plain, typename Element>
__global__ void __launch_bounds__(productThreads) rowsKernel(RowArguments given) {
  auto& shared = *reinterpret_cast<ProductMemory*>(sharedMemory());
  const RowGroups& groups = given.groups;
  GroupTile tile;
  if (groups.offsets) {
    tile = tileOf(groups.offsets, static_cast<int32_t>(groups.count), static_cast<int32_t>(blockIdx.y),
                  productTile);
  } else {
    tile.firstRow = static_cast<int32_t>(blockIdx.y) * productTile;
    tile.rows = static_cast<int32_t>(min(int64_t{productTile}, given.out.rows - tile.firstRow));
  }
  if (tile.rows == 0) return;
  const std::byte* data =
      groups.experts ? matrixOf(groups.experts[tile.group], groups.matrix).data : groups.weight.data;
  const auto* weight = reinterpret_cast<const Element*>(data);
  const int64_t columns = given.out.columns, width = groups.weight.columns, inner = given.a.columns;
  const int64_t firstColumn = int64_t{blockIdx.x} * productTile;
  // Rows of `a` that this thread loads are the same for all steps.
  const int loaded = static_cast<int>(threadIdx.x) / 4;
  const float* source = nullptr;
  if (loaded < tile.rows) {
    const int64_t row = tile.firstRow + loaded;
    source = given.a.row(given.aRows ? given.aRows[row] : row);
  }
  const auto a = [&](int64_t step, int) { return source ? source[step] : 0.0f; };
  const auto b = [&](int64_t step, int place) {
    const int64_t column = firstColumn + place;
    if (column >= columns) return 0.0f;
    return wide(plain ? weight[step * width + column] : weight[column * width + step]);
  };
  ProductSums total = {};
  for (int64_t step = 0; step < inner; step += productSteps) {
    ProductSums sums;
    multiplySteps<true, !plain>(shared, step, min(step + productSteps, inner), a, b, sums);
    for (int i = 0; i < 4; ++i) {
      if (productRow(i) >= tile.rows) continue;
      float* out = given.out.row(tile.firstRow + productRow(i)) + firstColumn;
      for (int j = 0; j < 4; ++j) {
        const int column = productColumn(j);
        if (firstColumn + column >= columns) continue;
        if (step == 0) total[i][j] = given.accumulates ? out[column] : 0.0f;
        total[i][j] += sums[i][j];
        if (step + productSteps >= inner) out[column] = total[i][j];
      }
    }
  }
}

/** The first step of [begin, end) whose packed row is not below `row`. */
__device__ __forceinline__ int64_t stepOf(const int32_t* packed, int64_t begin, int64_t end, int64_t row) {
  if (!packed) return min(begin + row, end);
  while (begin < end) {
    const int64_t middle = (begin + end) / 2;
    if (packed[middle] < row) {
      begin = middle + 1;
    } else {
      end = middle;
    }
  }
  return begin;
}

__device__ __forceinline__ float* matrixOf(const ExpertGradients& expert, ExpertMatrix which) {
  return which == ExpertMatrix::gate ? expert.gate : which == ExpertMatrix::up ? expert.up : expert.down;
}

/** Blocks of packed rows whose sums go to `partial`, one for each z; without it, all are added at once. */
struct BlockRange {
  int64_t first = 0, count = 1;
  float* partial = nullptr;  // (count, groups, outputs, inputs)
};

__global__ void __launch_bounds__(productThreads) gradientKernel(WeightGradient given, BlockRange blocks) {
  auto& shared = *reinterpret_cast<ProductMemory*>(sharedMemory());
  const int64_t group = blockIdx.y;
  float* const out = given.gradients ? matrixOf(given.gradients[group], given.matrix) : given.out;
  if (!out) return;
  const int64_t outputs = given.dout.columns, inputs = given.x.columns;
  const int64_t tiles = blocksOf(inputs, productTile);
  const int64_t firstRow = blockIdx.x / tiles * productTile, firstColumn = blockIdx.x % tiles * productTile;
  const int64_t begin = given.offsets ? given.offsets[group] : 0;
  const int64_t end = given.offsets ? given.offsets[group + 1] : given.steps;
  const auto a = [&](int64_t step, int place) {
    const int64_t row = given.doutRows ? given.doutRows[step] : step;
    return firstRow + place < outputs ? given.dout.row(row)[firstRow + place] : 0.0f;
  };
  const auto b = [&](int64_t step, int place) {
    const int64_t row = given.xRows ? given.xRows[step] : step;
    return firstColumn + place < inputs ? given.x.row(row)[firstColumn + place] : 0.0f;
  };
  float* const target =
      blocks.partial ? blocks.partial + (blockIdx.z * given.groups + group) * outputs * inputs : out;
  const auto forEachResult = [&](auto visit) {
    for (int i = 0; i < 4; ++i)
      for (int j = 0; j < 4; ++j) {
        const int64_t row = firstRow + productRow(i), column = firstColumn + productColumn(j);
        if (row < outputs && column < inputs) visit(target[row * inputs + column], i, j);
      }
  };
  int64_t step = begin, last = end;
  ProductSums total = {};
  if (blocks.partial) {
    const int64_t first = (blocks.first + blockIdx.z) * gradientBlock;
    step = stepOf(given.packed, begin, end, first);
    last = stepOf(given.packed, begin, end, first + gradientBlock);
  } else {
    forEachResult([&](float& value, int i, int j) { total[i][j] = value; });
  }
  while (step < last) {
    const int64_t block = (given.packed ? given.packed[step] : step - begin) / gradientBlock;
    const int64_t next = stepOf(given.packed, begin, end, (block + 1) * gradientBlock);
    ProductSums sums;
    multiplySteps<false, false>(shared, step, next, a, b, sums);
    for (int i = 0; i < 4; ++i)
      for (int j = 0; j < 4; ++j) total[i][j] += sums[i][j];
    step = next;
  }
  forEachResult([&](float& value, int i, int j) { value = total[i][j]; });
}

constexpr int sumThreads = 256;

__global__ void __launch_bounds__(sumThreads) addPartialKernel(WeightGradient given, BlockRange blocks) {
  const int64_t group = blockIdx.y, count = given.dout.columns * given.x.columns;
  const int64_t i = int64_t{blockIdx.x} * sumThreads + threadIdx.x;
  float* const out = given.gradients ? matrixOf(given.gradients[group], given.matrix) : given.out;
  if (!out || i >= count) return;
  float sum = out[i];
  for (int64_t block = 0; block < blocks.count; ++block)
    sum += blocks.partial[(block * given.groups + group) * count + i];
  out[i] = sum;
}

// With fewer tiles, blocks of rows go to blocks of threads of their own: twice an H100's multiprocessors.
constexpr int64_t enoughTiles = 264;
// Floats of partial sums in memory: 64 MiB.
constexpr int64_t mostPartial = int64_t{16} << 20;

int64_t tilesOf(const WeightGradient& given) {
  return given.groups * blocksOf(given.dout.columns, productTile) * blocksOf(given.x.columns, productTile);
}

}  // namespace

void multiplyRows(cudaStream_t stream, Tensor a, const int32_t* aRows, const RowGroups& groups, bool plain,
                  Tensor out, bool accumulates) {
  const int64_t tiles = groups.offsets ? maxTiles(out.rows, groups.count, productTile)
                                       : int64_t{blocksFor(out.rows, productTile)};
  const Grid grid{dim3(blocksFor(out.columns, productTile), static_cast<unsigned>(tiles)), productThreads,
                  sizeof(ProductMemory)};
  const RowArguments given{a, out, aRows, groups, accumulates};
  const bool halves = groups.weight.dtype == DType::bf16;
  if (plain) {
    launch(stream, "product (backward)", grid, halves ? rowsKernel<true, uint16_t> : rowsKernel<true, float>,
           given);
  } else {
    launch(stream, "product", grid, halves ? rowsKernel<false, uint16_t> : rowsKernel<false, float>, given);
  }
}

int64_t gradientScratch(const WeightGradient& given) {
  const int64_t blocks = blocksOf(given.rows, gradientBlock);
  const int64_t size = given.groups * given.dout.columns * given.x.columns;
  if (blocks < 2 || tilesOf(given) >= enoughTiles || 2 * size > mostPartial) return 0;
  return std::min(blocks, mostPartial / size) * size;
}

void addWeightGradient(cudaStream_t stream, const WeightGradient& given, float* scratch) {
  const int64_t blocks = blocksOf(given.rows, gradientBlock), tiles = tilesOf(given) / given.groups;
  const int64_t size = given.groups * given.dout.columns * given.x.columns;
  const auto run = [&](const BlockRange& range) {
    launch(stream, "weights (backward)",
           {dim3(static_cast<unsigned>(tiles), static_cast<unsigned>(given.groups),
                 range.partial ? static_cast<unsigned>(range.count) : 1),
            productThreads, sizeof(ProductMemory)},
           gradientKernel, given, range);
  };
  if (!scratch) return run({});
  const int64_t most = mostPartial / size;
  for (int64_t first = 0; first < blocks; first += most) {
    const BlockRange range{first, std::min(most, blocks - first), scratch};
    run(range);
    launch(
        stream, "weights (sum)",
        {dim3(blocksFor(size / given.groups, sumThreads), static_cast<unsigned>(given.groups)), sumThreads},
        addPartialKernel, given, range);
  }
}

}  // namespace rnd1::cuda
