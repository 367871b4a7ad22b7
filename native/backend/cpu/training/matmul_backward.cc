// Gradients of products: dx = dout · W, and dW = doutᵀ x in blocks of rows.
#include <algorithm>

#include "backend/cpu/training/cpu_training.h"

namespace rnd1::cpu {

int64_t CpuTraining::gradientPart(int64_t rows) const { return partOf(rows, 2 * threads(), productRows); }

void CpuTraining::addWeightGradientOf(int64_t row, int64_t end, Tensor dout, Tensor x, int64_t first,
                                      int64_t count, float* dWeight, int thread) {
  training_.product({.rows = count,
                     .columns = x.columns,
                     .steps = end - row,
                     .a = dout.row(row) + first,
                     .aStride = dout.stride,
                     .aIndex = nullptr,
                     .transposed = true,
                     .b = x.row(row),
                     .bStride = x.stride,
                     .bIndex = nullptr,
                     .out = dWeight + first * x.columns,
                     .outStride = x.columns,
                     .outIndex = nullptr,
                     .accumulates = true,
                     .packs = true,
                     .scratch = scratch_[thread].product.data()});
}

void CpuTraining::addWeightGradient(Tensor dout, Tensor x, int64_t first, int64_t count, float* dWeight,
                                    int thread) {
  for (int64_t row = 0; row < x.rows; row += gradientBlock)
    addWeightGradientOf(row, std::min(row + gradientBlock, x.rows), dout, x, first, count, dWeight, thread);
}

void CpuTraining::matmulBackward(Tensor x, std::span<const Weight> weights, Tensor dout, Tensor* dx,
                                 bool adds, std::span<float* const> dWeights) {
  if (dx) {
    const int64_t part = partOf(x.rows, 4 * threads(), productRows);
    parallel(blocksOf(x.rows, part), x.rows * x.columns * dout.columns, [&](int64_t item, int thread) {
      const int64_t row = item * part;
      int64_t column = 0;
      for (const Weight& weight : weights) {
        training_.product({.rows = std::min(part, x.rows - row),
                           .columns = weight.columns,
                           .steps = weight.rows,
                           .a = dout.row(row) + column,
                           .aStride = dout.stride,
                           .aIndex = nullptr,
                           .transposed = false,
                           .b = reinterpret_cast<const float*>(weight.data),
                           .bStride = weight.columns,
                           .bIndex = nullptr,
                           .out = dx->row(row),
                           .outStride = dx->stride,
                           .outIndex = nullptr,
                           .accumulates = adds || column > 0,
                           .packs = true,
                           .scratch = scratch_[thread].product.data()});
        column += weight.rows;
      }
    });
  }
  int64_t items = 0;
  for (size_t i = 0; i < weights.size(); ++i)
    if (dWeights[i]) items += blocksOf(weights[i].rows, gradientPart(weights[i].rows));
  parallel(items, x.rows * x.columns * dout.columns, [&](int64_t item, int thread) {
    int64_t column = 0;
    for (size_t i = 0; i < weights.size(); column += weights[i++].rows) {
      if (!dWeights[i]) continue;
      const int64_t rows = weights[i].rows, part = gradientPart(rows), parts = blocksOf(rows, part);
      if (item >= parts) {
        item -= parts;
        continue;
      }
      const int64_t first = item * part;
      addWeightGradient(dout.columnRange(column, rows), x, first, std::min(part, rows - first), dWeights[i],
                        thread);
      return;
    }
  });
}

}  // namespace rnd1::cpu
