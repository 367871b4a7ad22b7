#pragma once

#include <algorithm>

#include "backend/cpu/cpu_backend.h"

/** Splits matmuls into kernel calls. */
namespace rnd1::cpu {

inline RowSource rowsFrom(const RowSource& x, int64_t first) {
  return {static_cast<const std::byte*>(x.data) + first * x.strideBytes, x.strideBytes, x.format};
}

template <typename Job>
void CpuBackend::forEachBlock(const Weight& weight, int64_t rows, int64_t first, int64_t columns,
                              Scratch& scratch, Job&& job) const {
  const bool inPlace = usedInPlace(weight);
  const int64_t block = rowBlock(weight.columns), step = inPlace ? columns : convertedColumns;
  for (int64_t column = first; column < first + columns; column += step) {
    const int64_t count = std::min(step, first + columns - column);
    const WeightRows part = weightRows(weight, column, count, inPlace, scratch.weights.data());
    for (int64_t row = 0; row < rows; row += block)
      job(row, std::min(block, rows - row), column, count, part);
  }
}

}  // namespace rnd1::cpu
