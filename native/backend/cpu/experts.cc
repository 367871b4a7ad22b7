#include <algorithm>
#include <cstring>

#include "backend/cpu/matmul.h"

namespace rnd1::cpu {
namespace {

/** Time to read all activations, in that of the products of 12 columns with them. */
constexpr double readingActivations = 0.25;

/** Number of experts with slots; at least 1. */
int64_t expertsHit(const Dispatch& dispatch) {
  int64_t hit = 0;
  for (int64_t expert = 0; expert < dispatch.experts; ++expert)
    hit += dispatch.offsets[expert + 1] > dispatch.offsets[expert];
  return std::max<int64_t>(hit, 1);
}

}  // namespace

RowSource CpuBackend::gather(const RowSource& x, const int32_t* slots, int64_t rows, int64_t divisor,
                             int64_t columns, Scratch& scratch) const {
  const RowSource gathered{scratch.rows.data(), rowBytes(columns), x.format};
  const auto* source = static_cast<const std::byte*>(x.data);
  for (int64_t row = 0; row < rows; ++row)
    std::memcpy(scratch.rows.data() + row * gathered.strideBytes,
                source + slots[row] / divisor * x.strideBytes, static_cast<size_t>(columns * elementBytes()));
  return gathered;
}

void CpuBackend::gateUpBlock(const RowSource& x, int64_t rows, const ExpertWeights& weights, int64_t first,
                             int64_t columns, Tensor activated, Scratch& scratch) const {
  const Weight& gate = weights.gate;
  const bool inPlace = gate.dtype == weights.up.dtype && usedInPlace(gate) && usedInPlace(weights.up);
  const int64_t inner = gate.columns;
  const int64_t block = rowBlock(inner), step = inPlace ? columns : convertedColumns;
  for (int64_t column = first; column < first + columns; column += step) {
    const int64_t count = std::min(step, first + columns - column);
    const WeightRows gateRows = weightRows(gate, column, count, inPlace, scratch.weights.data());
    const WeightRows upRows =
        weightRows(weights.up, column, count, inPlace, scratch.weights.data() + convertedColumns * inner * 4);
    for (int64_t row = 0; row < rows; row += block)
      kernels_.gateUp(rowsFrom(x, row), std::min(block, rows - row), gateRows, upRows, count, inner,
                      computeDtype_, activated.row(row) + column, activated.stride);
  }
}

void CpuBackend::experts(Tensor x, std::span<const ExpertWeights> weights, const Dispatch& dispatch,
                         Tensor activated, Tensor out) {
  if (weights[0].gate.quantized()) return quantized_->experts(x, weights, dispatch, out);
  const int64_t k = dispatch.expertsPerToken;
  const int64_t slots = dispatch.rows * k;
  const int64_t width = weights[0].gate.rows;
  const auto count = static_cast<int64_t>(weights.size());
  const RowSource source = matmulRows(x);
  const int64_t block = rowBlock(x.columns);
  // Each part of an expert gathers its rows again.
  const int64_t part = partOf(width, blocksOf(itemsPerThread * threads(), expertsHit(dispatch)), width);
  const int64_t parts = blocksOf(width, part);
  parallel(count * parts, 2 * slots * width * x.columns, [&](int64_t item, int thread) {
    const int64_t expert = item / parts, column = item % parts * part;
    const int64_t end = dispatch.offsets[expert + 1];
    for (int64_t first = dispatch.offsets[expert]; first < end; first += block) {
      const int64_t rows = std::min(block, end - first);
      const RowSource chosen = gather(source, dispatch.slots + first, rows, k, x.columns, scratch_[thread]);
      gateUpBlock(chosen, rows, weights[expert], column, std::min(part, width - column),
                  activated.rowRange(first, rows), scratch_[thread]);
    }
  });
  const RowSource hidden = matmulRows({activated.data, slots, activated.columns, activated.stride});
  int32_t* targets = targets_.data();
  float* factors = factors_.data();
  for (int64_t row = 0; row < slots; ++row) {
    targets[row] = static_cast<int32_t>(dispatch.slots[row] / k);
    factors[row] = dispatch.weights[dispatch.slots[row]];
  }
  // One item owns a part of the output columns and adds the experts in the order of their ids: no atomics, a
  // fixed order. Few parts, because each reads all activations.
  const int64_t outPart = evenPart(out.columns, threads(), readingActivations);
  parallel(blocksOf(out.columns, outPart), slots * width * out.columns, [&](int64_t item, int thread) {
    const int64_t column = item * outPart;
    const int64_t columns = std::min(outPart, out.columns - column);
    for (int64_t row = 0; row < out.rows; ++row) std::fill_n(out.row(row) + column, columns, 0.0f);
    for (int64_t expert = 0; expert < count; ++expert) {
      const int64_t begin = dispatch.offsets[expert], rows = dispatch.offsets[expert + 1] - begin;
      if (rows == 0) continue;
      forEachBlock(
          weights[expert].down, rows, column, columns, scratch_[thread],
          [&](int64_t row, int64_t rowCount, int64_t first, int64_t columnCount, const WeightRows& down) {
            kernels_.multiplyAccumulate(rowsFrom(hidden, begin + row), targets + begin + row,
                                        factors + begin + row, rowCount, down, columnCount, width,
                                        out.data + first, out.stride);
          });
    }
  });
}

}  // namespace rnd1::cpu
