#pragma once

#include "backend/cuda/device/numbers.h"
#include "backend/cuda/device/reduce.h"

namespace rnd1::cuda {

constexpr int rowThreads = 256;

/** Adjacent columns, which one instruction loads. */
template <int count>
struct alignas(sizeof(float) * count) Columns {
  float values[count];

  __device__ __forceinline__ static Columns& at(float* row) { return *reinterpret_cast<Columns*>(row); }
};

/** Whether rows can be read by four columns. */
inline bool inFours(const Tensor& tensor) {
  return reinterpret_cast<uintptr_t>(tensor.data) % sizeof(Columns<4>) == 0 && tensor.stride % 4 == 0 &&
         tensor.columns % 4 == 0;
}

/**
 * Adds a delta to a row of the residual stream and norms it. By a block of `rowThreads`, with shared memory
 * for a float per warp. deltaOf(column): that of `columns` columns from there on; null: there is none. The
 * order of the sum depends on `columns`.
 */
template <DType computeDtype, int columns, typename DeltaOf>
__device__ __forceinline__ void normRow(const Tensor& residual, int64_t row, DeltaOf deltaOf,
                                        const Weight& scale, float epsilon, float* scratch,
                                        const Tensor& out) {
  float* stream = residual.row(row);
  const int64_t count = residual.columns;
  float squares = 0;
  for (int64_t column = int64_t{threadIdx.x} * columns; column < count; column += rowThreads * columns) {
    Columns<columns> values = Columns<columns>::at(stream + column);
    if constexpr (!std::is_null_pointer_v<DeltaOf>) {
      const Columns<columns> delta = deltaOf(column);
#pragma unroll
      for (int c = 0; c < columns; ++c) values.values[c] += delta.values[c];
      Columns<columns>::at(stream + column) = values;
    }
#pragma unroll
    for (int c = 0; c < columns; ++c) squares += values.values[c] * values.values[c];
  }
  squares = blockReduce<rowThreads>(squares, scratch, [](float a, float b) { return a + b; });
  const float factor = 1.0f / sqrtf(squares / static_cast<float>(count) + epsilon);
  for (int64_t column = int64_t{threadIdx.x} * columns; column < count; column += rowThreads * columns) {
    const Columns<columns> values = Columns<columns>::at(stream + column);
#pragma unroll
    for (int c = 0; c < columns; ++c)
      setRounded<computeDtype>(out, row, column + c,
                               values.values[c] * factor * element(scale.dtype, scale.data, column + c));
  }
}

}  // namespace rnd1::cuda
