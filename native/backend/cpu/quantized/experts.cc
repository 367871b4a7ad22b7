// The mixture of experts, and the dense MLP, on quantized weights.
#include <algorithm>
#include <cstring>

#include "backend/cpu/quantized/panels.h"

namespace rnd1::cpu {
namespace {

/** Cost of reading a block's weights, in rows: with fewer rows it dominates. */
constexpr int64_t rowsWorthReading = 8;

}  // namespace

void QuantizedOps::quantizeRows(Tensor x, const QuantizedFormat& format) {
  parallel(x.rows, 8 * x.rows * x.columns, [&](int64_t row, int) {
    kernels_.quantize(x.row(row), x.columns, format.group, format.dtype, rows_.row(row, format));
  });
}

void QuantizedOps::gather(const RowBlock& block, const QuantizedFormat& format, ByteRows& into) {
  const int64_t groups = format.groups(), quads = format.group / 4;
  for (int64_t tile = 0; tile < block.tiles; ++tile) {
    const int64_t first = block.tileStart(tile), rows = block.tileRows(tile);
    for (int64_t r = 0; r < rows; ++r) {
      const QuantizedRow from = rows_.row(slotRows_[static_cast<size_t>(block.first + first + r)], format);
      const QuantizedRow to = into.inTile(first, rows, r, 0, format);
      for (int64_t group = 0; group < groups; ++group) {
        const int8_t* source = from.values + group * from.groupBytes;
        int8_t* target = to.values + group * to.groupBytes;
        if (to.quadStride == from.quadStride) {
          std::memcpy(target, source, static_cast<size_t>(format.group));
        } else {
          for (int64_t quad = 0; quad < quads; ++quad)
            std::memcpy(target + quad * to.quadStride, source + quad * 4, 4);
        }
        to.scales[group * to.groupStride] = from.scales[group];
        to.sums[group * to.groupStride] = from.sums[group];
      }
    }
  }
}

void QuantizedOps::planGateUp(const ExpertWeights& weights, std::span<const int32_t> offsets) {
  const QuantizedFormat format(weights.gate);
  const auto blocksOf = [&](size_t expert) {
    return RowBlocks(offsets[expert + 1] - offsets[expert], format.paddedColumns(), kernels_.tileRows);
  };
  const auto cost = [](int64_t rows) { return rows + rowsWorthReading; };
  work_.clear();
  int64_t total = 0;
  for (size_t expert = 0; expert + 1 < offsets.size(); ++expert) {
    const RowBlocks blocks = blocksOf(expert);
    for (int64_t index = 0; index < blocks.count(); ++index) total += cost(blocks[index].rows);
  }
  const int64_t wanted = itemsPerThread * pool_.threads();
  const int64_t width = weights.gate.rows;
  const int64_t columnBlocks = (width + activatedColumns - 1) / activatedColumns;
  for (size_t expert = 0; expert + 1 < offsets.size(); ++expert) {
    const RowBlocks blocks = blocksOf(expert);
    for (int64_t index = 0; index < blocks.count(); ++index) {
      RowBlock block = blocks[index];
      block.first += offsets[expert];
      // At least one part per block, plus at most `wanted` in total.
      const int64_t parts = std::clamp(cost(block.rows) * wanted / total, int64_t{1}, columnBlocks);
      for (int64_t part = 0; part < parts; ++part) {
        const int64_t first = part * columnBlocks / parts * activatedColumns;
        const int64_t end = std::min((part + 1) * columnBlocks / parts * activatedColumns, width);
        work_.push_back({static_cast<int32_t>(expert), static_cast<int32_t>(first),
                         static_cast<int32_t>(end - first), block});
      }
    }
  }
}

void QuantizedOps::gateUp(const GateUp& work, const ExpertWeights& weights, const ByteRows& x,
                          int64_t firstRow, Scratch& scratch) {
  const QuantizedFormat format(weights.gate), downFormat(weights.down);
  const RowBlock& block = work.block;
  const auto pairAt = [&](int64_t panel) {
    return pairOf(panelOf(weights.gate, panel, format), panelOf(weights.up, panel, format), format);
  };
  const int64_t endPanel = (work.firstColumn + work.columns + rnd1::panelRows - 1) / rnd1::panelRows;
  for (int64_t column = 0; column < work.columns; column += activatedColumns) {
    const int64_t first = work.firstColumn + column;
    const int64_t width = std::min(activatedColumns, work.columns - column);
    for (int64_t inside = 0; inside < width; inside += rnd1::panelRows) {
      const int64_t panel = (first + inside) / rnd1::panelRows;
      multiplyBlock(x, firstRow, block, pairAt(panel), pairAt(panel + 1 < endPanel ? panel + 1 : panel),
                    format, scratch.sums.data());
      kernels_.swiglu(scratch.sums.data(), block.rows, scratch.activated.data() + inside, activatedColumns);
    }
    for (int64_t tile = 0; tile < block.tiles; ++tile) {
      const int64_t start = block.tileStart(tile), rows = block.tileRows(tile);
      for (int64_t r = 0; r < rows; ++r)
        kernels_.quantize(scratch.activated.data() + (start + r) * activatedColumns, width, downFormat.group,
                          downFormat.dtype,
                          activated_.inTile(block.first + start, rows, r, first, downFormat));
    }
  }
}

void QuantizedOps::experts(Tensor x, std::span<const ExpertWeights> weights, const Dispatch& dispatch,
                           Tensor out) {
  const int64_t slots = dispatch.rows * dispatch.expertsPerToken;
  if (slots == 0) return;
  const QuantizedFormat format(weights[0].gate), downFormat(weights[0].down);
  for (int64_t index = 0; index < slots; ++index) {
    const int32_t slot = dispatch.slots[index];
    slotRows_[static_cast<size_t>(index)] = static_cast<int32_t>(slot / dispatch.expertsPerToken);
    slotWeights_[static_cast<size_t>(index)] = dispatch.weights[slot];
  }
  quantizeRows(x, format);

  const std::span offsets(dispatch.offsets, weights.size() + 1);
  planGateUp(weights[0], offsets);
  const int64_t width = weights[0].gate.rows;
  parallel(static_cast<int64_t>(work_.size()), 2 * slots * width * x.columns, [&](int64_t item, int thread) {
    const GateUp& work = work_[static_cast<size_t>(item)];
    Scratch& scratch = scratch_[static_cast<size_t>(thread)];
    gather(work.block, format, scratch.rows);
    gateUp(work, weights[static_cast<size_t>(work.expert)], scratch.rows, 0, scratch);
  });

  // One item owns a pair of panels of output columns and adds the experts in the order of their ids.
  parallel(pairsOf(weights[0].down), slots * width * out.columns, [&](int64_t pair, int thread) {
    const int64_t column = pair * panelPair;
    const int64_t columns = std::min(panelPair, out.columns - column);
    Scratch& scratch = scratch_[static_cast<size_t>(thread)];
    // Dense, because the stride of `out` is often a multiple of a page, which uses few cache sets.
    float* combined = scratch.combined.data();
    std::fill_n(combined, out.rows * panelPair, 0.0f);
    const auto following = [&](size_t expert) {
      while (expert < weights.size() && offsets[expert] == offsets[expert + 1]) ++expert;
      return expert;
    };
    for (size_t expert = following(0); expert < weights.size();) {
      const size_t after = following(expert + 1);
      const PanelPair panels = neighbours(weights[expert].down, pair, downFormat);
      const PanelPair next =
          after < weights.size() ? neighbours(weights[after].down, pair, downFormat) : panels;
      const RowBlocks blocks(offsets[expert + 1] - offsets[expert], format.paddedColumns(),
                             kernels_.tileRows);
      for (int64_t index = 0; index < blocks.count(); ++index) {
        const RowBlock block = blocks[index];
        const int64_t first = offsets[expert] + block.first;
        multiplyBlock(activated_, first, block, panels, index + 1 < blocks.count() ? panels : next,
                      downFormat, scratch.sums.data());
        kernels_.accumulate(scratch.sums.data(), slotRows_.data() + first, slotWeights_.data() + first,
                            block.rows, combined);
      }
      expert = after;
    }
    for (int64_t row = 0; row < out.rows; ++row)
      std::copy_n(combined + row * panelPair, columns, out.row(row) + column);
  });
}

void QuantizedOps::mlp(Tensor x, const ExpertWeights& weights, Tensor out) {
  if (x.rows == 0) return;
  const QuantizedFormat format(weights.gate);
  const RowBlocks blocks(x.rows, format.paddedColumns(), kernels_.tileRows);
  quantizeTiles(x, blocks, format);
  const int32_t offsets[] = {0, static_cast<int32_t>(x.rows)};
  planGateUp(weights, offsets);
  parallel(static_cast<int64_t>(work_.size()), 2 * x.rows * weights.gate.rows * x.columns,
           [&](int64_t item, int thread) {
             const GateUp& work = work_[static_cast<size_t>(item)];
             gateUp(work, weights, rows_, work.block.first, scratch_[static_cast<size_t>(thread)]);
           });
  multiplyTiles(activated_, blocks, {&weights.down, 1}, QuantizedFormat(weights.down), out);
}

}  // namespace rnd1::cpu
