#pragma once

#include <cstddef>

#include "backend/cuda/device/copy.h"
#include "backend/cuda/device/tiles.h"

namespace rnd1::cuda {

/** Values of a row that a step of a matmul takes. */
constexpr int stepValues = 64;

/** Rows of a tile from `first` on; after the last of `count` rows, the last one again. */
struct RowsFrom {
  int32_t first, count;

  __device__ __forceinline__ RowsFrom(int64_t first, int64_t count)
      : first(static_cast<int32_t>(first)), count(static_cast<int32_t>(count)) {}
  __device__ __forceinline__ int64_t operator()(int row) const {
    return first + row < count ? first + row : count - 1;
  }
};

/** Waits for all copies of this thread, also those that belong to no group yet. */
__device__ __forceinline__ void finishCopies() {
  commitCopies();
  waitCopies<0>();
}

/** Whether kernels of a step write what is copied, so that it has to be awaited. */
enum class Source { weights, activations };

/**
 * A thread's share of the copies of a tile of 16-bit rows, of which each step copies the next 64 values: 16
 * bytes of every `threads / 8`-th row. Where the rows are is computed once; it may be used for several
 * matrices alike.
 */
template <Source source, int rows, int threads>
class TileCopies {
 public:
  static constexpr int stride = threads / 8;
  static constexpr int passes = rows / stride;
  static_assert(stride % 8 == 0, "a thread's rows have the same place in the pattern of swizzled()");

  /** rowOf(row of the tile): the index of its source, of rows that are `strideBytes` apart. */
  template <typename RowOf>
  __device__ __forceinline__ TileCopies(int64_t strideBytes, RowOf rowOf) {
    for (int pass = 0; pass < passes; ++pass)
      rows_[pass] = static_cast<uint32_t>(rowOf(firstRow() + pass * stride) * (strideBytes / 16));
  }

  /** What this thread copies of a step that begins with value `first` of rows of `inner` values: 16 bytes or
   * 0. */
  __device__ __forceinline__ static int validBytes(int32_t first, int32_t inner) {
    return first + chunk() * 8 < inner ? 16 : 0;
  }

  /** Starts copying values from `first` on; zeros unless valid. */
  __device__ __forceinline__ void copy(uint16_t* tile, const void* data, int32_t first,
                                       int validBytes) const {
    for (int pass = 0; pass < passes; ++pass) copyPass(tile, data, first, pass, validBytes);
  }
  __device__ __forceinline__ void copyPass(uint16_t* tile, const void* data, int32_t first, int pass,
                                           int validBytes) const {
    uint16_t* to = tile + swizzled<stepValues>(firstRow(), chunk()) + pass * stride * stepValues;
    const std::byte* from =
        static_cast<const std::byte*>(data) + (int64_t{first} + chunk() * 8) * 2 + uint64_t{rows_[pass]} * 16;
    if constexpr (source == Source::weights) {
      copyConstantAsync16(to, from, validBytes);
    } else {
      copyAsync16(to, from, validBytes);
    }
  }

 private:
  __device__ __forceinline__ static int chunk() { return static_cast<int>(threadIdx.x) % 8; }
  __device__ __forceinline__ static int firstRow() { return static_cast<int>(threadIdx.x) / 8; }

  uint32_t rows_[passes];  // in units of 16 bytes: up to 64 GB
};

}  // namespace rnd1::cuda
