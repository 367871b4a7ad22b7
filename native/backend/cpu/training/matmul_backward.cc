// Products x · Wᵀ and their gradients: dx = dout · W, and dW = doutᵀ x in blocks of rows.
#include <algorithm>

#include "backend/cpu/training/cpu_training.h"

namespace rnd1::cpu {

void CpuTraining::matmul(Tensor x, std::span<const Weight> weights, Tensor out) {
  const int64_t rowParts = blocksOf(x.rows, productRows);
  // Parts that share a weight are adjacent: its panels stay in the cache.
  const int64_t columnPart =
      blocksOf(out.columns, blocksOf(4 * threads(), std::max<int64_t>(rowParts, 1)) * widestPanel) *
      widestPanel;
  int64_t items = 0;
  for (const Weight& weight : weights) items += rowParts * blocksOf(weight.rows, columnPart);
  parallel(items, x.rows * x.columns * out.columns, [&](int64_t item, int thread) {
    int64_t column = 0;
    for (const Weight& weight : weights) {
      const int64_t parts = rowParts * blocksOf(weight.rows, columnPart);
      if (item >= parts) {
        item -= parts;
        column += weight.rows;
        continue;
      }
      const int64_t row = item % rowParts * productRows, first = item / rowParts * columnPart;
      training_.product({.rows = std::min(productRows, x.rows - row),
                         .columns = std::min(columnPart, weight.rows - first),
                         .steps = x.columns,
                         .a = x.row(row),
                         .aStride = x.stride,
                         .b = operandOf(weight, first),
                         .bStride = weight.columns,
                         .turned = true,
                         .out = out.row(row) + column + first,
                         .outStride = out.stride,
                         .scratch = scratch_[thread].product.data()});
      return;
    }
  });
}

int64_t CpuTraining::gradientPart(int64_t rows) const { return partOf(rows, 2 * threads(), productRows); }

void CpuTraining::addWeightGradientOf(int64_t row, int64_t end, Tensor dout, Tensor x, int64_t first,
                                      int64_t count, float* dWeight, int thread) {
  training_.product({.rows = count,
                     .columns = x.columns,
                     .steps = end - row,
                     .a = dout.row(row) + first,
                     .aStride = dout.stride,
                     .transposed = true,
                     .b = {x.row(row)},
                     .bStride = x.stride,
                     .out = dWeight + first * x.columns,
                     .outStride = x.columns,
                     .accumulates = true,
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
                           .b = operandOf(weight),
                           .bStride = weight.columns,
                           .out = dx->row(row),
                           .outStride = dx->stride,
                           .accumulates = adds || column > 0,
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
