#pragma once

#include "backend/cuda/device/integers.h"
#include "backend/cuda/device/numbers.h"
#include "backend/cuda/device/pairs.h"
#include "backend/cuda/quantized_layout.h"

namespace rnd1::cuda {

/**
 * A tile of x · weightᵀ by multiply-adds in f32, for any dtype and any shape: 256 threads, 4 × 4 results
 * each. Sums run along `inner` in pieces of 16, so they depend on the two rows only.
 */
constexpr int matmulThreads = 256;
constexpr int tileRows = 64;
constexpr int tileColumns = 64;
constexpr int tileInner = 16;

template <int products>
struct MatmulMemory {
  float x[tileInner][tileRows + 4];
  float weights[products][tileInner][tileColumns + 4];
};

/** A value of a quantized weight. Not inlined: it is rare, and would need registers where there are few. */
template <DType computeDtype>
__device__ __noinline__ float quantizedValue(const std::byte* data, int64_t strideBytes, DType dtype,
                                             int32_t group, int32_t row, int32_t column) {
  const int32_t lane = row % static_cast<int32_t>(panelRows);
  const std::byte* tile = data + (row - lane) * strideBytes +
                          int64_t{column / quantizedColumns} * quantizedTileBytes(dtype, group);
  const QuantizedPlace place = quantizedPlace(dtype, computeDtype, lane, column % quantizedColumns);
  constexpr DType scaleDtype = computeDtype == DType::f32 ? DType::f16 : computeDtype;
  const std::byte* scales =
      tile + quantizedValueBytes(dtype) + column % quantizedColumns / group * quantizedScaleBytes(dtype);
  const uint32_t word = reinterpret_cast<const uint32_t*>(tile)[place.word];
  if (dtype == DType::fp8) {
    const uint32_t pair =
        place.shift & 8 ? fp8Pair<scaleDtype, true>(word) : fp8Pair<scaleDtype, false>(word);
    const uint16_t number = static_cast<uint16_t>(pair >> (place.shift & 16));
    return rounded<computeDtype>(element<scaleDtype>(scales, 0) *
                                 element<scaleDtype>(reinterpret_cast<const std::byte*>(&number), 0));
  }
  const uint32_t integer = rotated(word, place.shift);
  if (dtype == DType::q8)
    return rounded<computeDtype>(element<scaleDtype>(scales, lane) *
                                 (static_cast<float>(integer & 0xff) - 128));
  uint32_t bits = integer & 0x0f;
  if (dtype == DType::q5) {
    const QuantizedPlace fifth = fifthBitPlace(computeDtype, lane, column % quantizedColumns);
    bits |= (rotated(reinterpret_cast<const uint32_t*>(tile)[fifth.word], fifth.shift) & 1) << 4;
  }
  const float base = computeDtype == DType::f32 ? 0 : integerBase(dtype);
  return rounded<computeDtype>(fmaf(element<scaleDtype>(scales, 2 * lane), static_cast<float>(bits) + base,
                                    element<scaleDtype>(scales, 2 * lane + 1)));
}

/** Rows of one weight, starting at `data`. */
struct WeightTile {
  const std::byte* data;
  int64_t strideBytes;
  DType dtype;
  int32_t group;

  __host__ __device__ static WeightTile of(const Weight& weight) {
    return {weight.data, weight.strideBytes, weight.dtype, weight.group};
  }
  /** `row` must be a multiple of 16 if the weight is quantized. */
  __device__ WeightTile from(int64_t row) const {
    return {data + row * strideBytes, strideBytes, dtype, group};
  }

  /** A value as used in a matmul. */
  template <DType computeDtype>
  __device__ __forceinline__ float value(int32_t row, int32_t column) const {
    if (!isQuantized(dtype)) return rounded<computeDtype>(element(dtype, data + row * strideBytes, column));
    return quantizedValue<computeDtype>(data, strideBytes, dtype, group, row, column);
  }
};

using Sums = float[4][4];

/**
 * sums[p][i][j] = x[r] · weights[p][c] with r = 4 · (thread / 16) + i, c = 4 · (thread % 16) + j.
 * row: of x, which this thread loads (as thread / 4 of the tile), or −1; columns: valid weight rows.
 */
template <int products, DType computeDtype>
__device__ __forceinline__ void multiplyTile(MatmulMemory<products>& shared, const Tensor& x, int64_t row,
                                             const WeightTile (&weights)[products], int32_t columns,
                                             Sums (&sums)[products]) {
  const auto inner = static_cast<int32_t>(x.columns);
  const std::byte* source = row < 0 ? nullptr : bytesOfRow(x, row);
  const int thread = static_cast<int>(threadIdx.x);
  const int loadRow = thread / 4, loadInner = thread % 4 * 4;
  const int firstRow = thread / 16 * 4, firstColumn = thread % 16 * 4;
  for (int p = 0; p < products; ++p)
    for (int i = 0; i < 4; ++i)
      for (int j = 0; j < 4; ++j) sums[p][i][j] = 0;
  for (int32_t k = 0; k < inner; k += tileInner) {
    for (int i = 0; i < 4; ++i) {
      const int32_t at = k + loadInner + i;
      const bool inside = at < inner;
      shared.x[loadInner + i][loadRow] = source && inside ? element(x.dtype, source, at) : 0.0f;
      for (int p = 0; p < products; ++p)
        shared.weights[p][loadInner + i][loadRow] =
            loadRow < columns && inside ? weights[p].template value<computeDtype>(loadRow, at) : 0.0f;
    }
    __syncthreads();
    Sums partial[products] = {};
    for (int step = 0; step < tileInner; ++step)
      for (int p = 0; p < products; ++p)
        for (int i = 0; i < 4; ++i)
          for (int j = 0; j < 4; ++j)
            partial[p][i][j] += shared.x[step][firstRow + i] * shared.weights[p][step][firstColumn + j];
    for (int p = 0; p < products; ++p)
      for (int i = 0; i < 4; ++i)
        for (int j = 0; j < 4; ++j) sums[p][i][j] += partial[p][i][j];
    __syncthreads();
  }
}

}  // namespace rnd1::cuda
