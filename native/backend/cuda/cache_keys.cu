// Copies keys and values of packed rows into the caches of their canvases. Memory-bound.
#include "backend/cuda/attention.h"
#include "backend/cuda/device/dependent_launch.h"
#include "backend/cuda/device/numbers.h"
#include "backend/cuda/launch.h"

namespace rnd1::cuda {
namespace {

constexpr int cacheThreads = 128;

/** The canvas of a packed row: the last one that begins at or before it. */
__device__ __forceinline__ int32_t canvasOf(const CanvasOffsets& canvases, int32_t row) {
  int32_t low = 0, high = static_cast<int32_t>(canvases.count) - 1;
  while (low < high) {
    const int32_t middle = (low + high + 1) / 2;
    if (canvases.offsets[middle] <= row) {
      low = middle;
    } else {
      high = middle - 1;
    }
  }
  return low;
}

template <DType computeDtype>
__global__ void __launch_bounds__(cacheThreads)
    cacheKeysKernel(Tensor key, Tensor value, CanvasOffsets canvases, const int32_t* positions,
                    LayerCaches caches) {
  awaitPredecessors();
  const auto row = static_cast<int32_t>(blockIdx.x);
  if (row >= key.validRowCount()) return;
  const CanvasCache cache = caches.canvases[canvasOf(canvases, row)];
  if (!cache.data) return;
  std::byte* const keys = caches.keys(cache, bytesOf<computeDtype>);
  const int64_t first = positions[row] * key.columns, values = cache.positions * key.columns;
  for (int64_t column = threadIdx.x; column < key.columns; column += cacheThreads) {
    setElement<computeDtype>(keys, first + column, element(key.dtype, bytesOfRow(key, row), column));
    setElement<computeDtype>(keys, values + first + column,
                             element(value.dtype, bytesOfRow(value, row), column));
  }
}

}  // namespace

void cacheKeys(cudaStream_t stream, DType computeDtype, Tensor key, Tensor value, CanvasOffsets canvases,
               const int32_t* positions, const LayerCaches& caches) {
  dispatchDType(computeDtype, [&]<DType type>() {
    launchEarly(stream, "cacheKeys", {dim3(blocksFor(key.rows, 1)), cacheThreads}, cacheKeysKernel<type>, key,
                value, canvases, positions, caches);
  });
}

}  // namespace rnd1::cuda
