// Experts and dense MLPs that keep what their gradients need, and these gradients.
#include <algorithm>

#include "backend/cpu/training/cpu_training.h"

namespace rnd1::cpu {
namespace {

/** The tiles of at most productRows slots of all experts, numbered one after another. */
struct SlotTile {
  int64_t expert, first, count;
};

int64_t countTiles(const int32_t* offsets, int64_t experts) {
  int64_t tiles = 0;
  for (int64_t expert = 0; expert < experts; ++expert)
    tiles += blocksOf(offsets[expert + 1] - offsets[expert], productRows);
  return tiles;
}

SlotTile tileAt(const int32_t* offsets, int64_t item) {
  for (int64_t expert = 0;; ++expert) {
    const int64_t slots = offsets[expert + 1] - offsets[expert], tiles = blocksOf(slots, productRows);
    if (item >= tiles) {
      item -= tiles;
      continue;
    }
    const int64_t first = item * productRows;
    return {expert, offsets[expert] + first, std::min(productRows, slots - first)};
  }
}

}  // namespace

CpuTraining::Grouping CpuTraining::grouped(std::span<const ExpertWeights> weights, const Dispatch& dispatch) {
  const int64_t k = dispatch.expertsPerToken, slots = dispatch.offsets[dispatch.experts];
  slotRows_.reserve(slots);
  factors_.reserve(slots);
  for (int64_t slot = 0; slot < slots; ++slot) {
    slotRows_.data()[slot] = static_cast<int32_t>(dispatch.slots[slot] / k);
    factors_.data()[slot] = dispatch.weights[dispatch.slots[slot]];
  }
  return {weights, dispatch.offsets, slotRows_.data(), factors_.data(), slots, weights[0].gate.rows};
}

CpuTraining::Grouping CpuTraining::dense(const ExpertWeights& weights, int64_t rows) {
  denseOffsets_.reserve(2);
  denseOffsets_.data()[0] = 0;
  denseOffsets_.data()[1] = static_cast<int32_t>(rows);
  return {{&weights, 1}, denseOffsets_.data(), nullptr, nullptr, rows, weights.gate.rows};
}

void CpuTraining::keepRows(const int32_t* rows, int64_t count, Dispatch& dispatch) {
  kept_.assign(static_cast<size_t>(dispatch.rows), 0);
  for (int64_t i = 0; i < count; ++i) kept_[static_cast<size_t>(rows[i])] = 1;
  int32_t slot = 0, end = 0;
  for (int64_t expert = 0; expert < dispatch.experts; ++expert) {
    const int32_t next = dispatch.offsets[expert + 1];
    for (; slot < next; ++slot)
      if (kept_[static_cast<size_t>(dispatch.slots[slot] / dispatch.expertsPerToken)])
        dispatch.slots[end++] = dispatch.slots[slot];
    dispatch.offsets[expert + 1] = end;
  }
}

void CpuTraining::experts(Tensor x, std::span<const ExpertWeights> weights, const Dispatch& dispatch,
                          Tensor gate, Tensor up, Tensor out) {
  forward(x, grouped(weights, dispatch), gate, up, out);
}

void CpuTraining::mlp(Tensor x, const ExpertWeights& weights, Tensor gate, Tensor up, Tensor out) {
  forward(x, dense(weights, x.rows), gate, up, out);
}

void CpuTraining::forward(Tensor x, const Grouping& grouping, Tensor gate, Tensor up, Tensor out) {
  const auto experts = static_cast<int64_t>(grouping.weights.size());
  const int64_t width = grouping.width, slots = grouping.slots;
  activated_.reserve(sizeProduct(slots, width));
  const Tensor activated(activated_.data(), slots, width);
  const auto multiply = [&](const Weight& weight, int64_t firstOutput, int64_t outputs, Product product,
                            int thread) {
    product.columns = outputs;
    product.steps = weight.columns;
    product.b = operandOf(weight, firstOutput);
    product.bStride = weight.columns;
    product.turned = true;
    product.scratch = scratch_[thread].product.data();
    training_.product(product);
  };
  parallel(countTiles(grouping.offsets, experts), 2 * slots * width * x.columns,
           [&](int64_t item, int thread) {
             const SlotTile tile = tileAt(grouping.offsets, item);
             const ExpertWeights& weights = grouping.weights[static_cast<size_t>(tile.expert)];
             for (const bool isUp : {false, true}) {
               const Tensor out = isUp ? up : gate;
               multiply(isUp ? weights.up : weights.gate, 0, width,
                        {.rows = tile.count,
                         .a = grouping.rows ? x.data : x.row(tile.first),
                         .aStride = x.stride,
                         .aIndex = grouping.rows ? grouping.rows + tile.first : nullptr,
                         .out = out.row(tile.first),
                         .outStride = out.stride},
                        thread);
             }
             for (int64_t i = tile.first; i < tile.first + tile.count; ++i)
               training_.swiglu(grouping.factors ? grouping.factors[i] : 1.0f, gate.row(i), up.row(i), width,
                                activated.row(i));
           });
  if (!grouping.rows) return matmul(activated, {&grouping.weights[0].down, 1}, out);
  // An item owns columns of the result and adds the experts in the order of their ids.
  const int64_t part = columnPart(out.columns);
  parallel(blocksOf(out.columns, part), slots * width * out.columns, [&](int64_t item, int thread) {
    const int64_t column = item * part, columns = std::min(part, out.columns - column);
    for (int64_t row = 0; row < out.rows; ++row) std::fill_n(out.row(row) + column, columns, 0.0f);
    for (int64_t expert = 0; expert < experts; ++expert)
      for (int64_t first = grouping.offsets[expert]; first < grouping.offsets[expert + 1];
           first += productRows)
        multiply(grouping.weights[static_cast<size_t>(expert)].down, column, columns,
                 {.rows = std::min<int64_t>(productRows, grouping.offsets[expert + 1] - first),
                  .a = activated.row(first),
                  .aStride = width,
                  .out = out.data + column,
                  .outStride = out.stride,
                  .outIndex = grouping.rows + first,
                  .accumulates = true},
                 thread);
  });
}

void CpuTraining::expertsBackward(Tensor x, std::span<const ExpertWeights> weights, const Dispatch& dispatch,
                                  Tensor gate, Tensor up, Tensor dout, Tensor dx, float* dRoutingWeights,
                                  std::span<const ExpertGradients> gradients) {
  const Grouping grouping = grouped(weights, dispatch);
  slotGradients_.reserve(grouping.slots);
  backward(x, grouping, gate, up, dout, dx, slotGradients_.data(), gradients);
  std::fill_n(dRoutingWeights, dispatch.rows * dispatch.expertsPerToken, 0.0f);
  for (int64_t slot = 0; slot < grouping.slots; ++slot)
    dRoutingWeights[dispatch.slots[slot]] = slotGradients_.data()[slot];
}

void CpuTraining::mlpBackward(Tensor x, const ExpertWeights& weights, Tensor gate, Tensor up, Tensor dout,
                              Tensor dx, const ExpertGradients& gradients) {
  slotGradients_.reserve(x.rows);
  backward(x, dense(weights, x.rows), gate, up, dout, dx, slotGradients_.data(), {&gradients, 1});
}

void CpuTraining::backward(Tensor x, const Grouping& grouping, Tensor gate, Tensor up, Tensor dout, Tensor dx,
                           float* slotGradients, std::span<const ExpertGradients> gradients) {
  const auto experts = static_cast<int64_t>(grouping.weights.size());
  const int64_t width = grouping.width, slots = grouping.slots;
  activated_.reserve(sizeProduct(slots, width));
  // First dout · down, then factor · h.
  const Tensor weighted(activated_.data(), slots, width);
  parallel(countTiles(grouping.offsets, experts), slots * width * dout.columns,
           [&](int64_t item, int thread) {
             const SlotTile tile = tileAt(grouping.offsets, item);
             const Weight& down = grouping.weights[static_cast<size_t>(tile.expert)].down;
             training_.product({.rows = tile.count,
                                .columns = width,
                                .steps = dout.columns,
                                .a = grouping.rows ? dout.data : dout.row(tile.first),
                                .aStride = dout.stride,
                                .aIndex = grouping.rows ? grouping.rows + tile.first : nullptr,
                                .b = operandOf(down),
                                .bStride = width,
                                .out = weighted.row(tile.first),
                                .outStride = width,
                                .scratch = scratch_[thread].product.data()});
             for (int64_t i = tile.first; i < tile.first + tile.count; ++i)
               slotGradients[i] = training_.swigluBackward(grouping.factors ? grouping.factors[i] : 1.0f,
                                                           gate.row(i), up.row(i), weighted.row(i), width);
           });
  addExpertGradients(x, grouping, gate, up, weighted, dout, gradients);
  // An item owns columns of dx and adds the experts in the order of their ids.
  const int64_t part = columnPart(dx.columns);
  parallel(blocksOf(dx.columns, part), 2 * slots * width * dx.columns, [&](int64_t item, int thread) {
    const int64_t column = item * part;
    for (int64_t expert = 0; expert < experts; ++expert)
      for (int64_t first = grouping.offsets[expert]; first < grouping.offsets[expert + 1];
           first += productRows) {
        const ExpertWeights& weights = grouping.weights[static_cast<size_t>(expert)];
        for (const bool isUp : {false, true})
          training_.product({.rows = std::min<int64_t>(productRows, grouping.offsets[expert + 1] - first),
                             .columns = std::min(part, dx.columns - column),
                             .steps = width,
                             .a = (isUp ? up : gate).row(first),
                             .aStride = (isUp ? up : gate).stride,
                             .b = operandOf(isUp ? weights.up : weights.gate, 0, column),
                             .bStride = dx.columns,
                             .out = (grouping.rows ? dx.data : dx.row(first)) + column,
                             .outStride = dx.stride,
                             .outIndex = grouping.rows ? grouping.rows + first : nullptr,
                             .accumulates = true,
                             .scratch = scratch_[thread].product.data()});
      }
  });
}

int64_t CpuTraining::blockEnd(const Grouping& grouping, int64_t first, int64_t end) {
  const int64_t limit = (grouping.row(first) / gradientBlock + 1) * gradientBlock;
  if (!grouping.rows) return std::min(end, limit);
  return std::lower_bound(grouping.rows + first, grouping.rows + end, static_cast<int32_t>(limit)) -
         grouping.rows;
}

void CpuTraining::addExpertGradients(Tensor x, const Grouping& grouping, Tensor gate, Tensor up,
                                     Tensor weighted, Tensor dout,
                                     std::span<const ExpertGradients> gradients) {
  const int64_t width = grouping.width, hidden = x.columns;
  const int64_t widthPart =
      partOf(width, blocksOf(2 * threads(), static_cast<int64_t>(gradients.size())), productRows);
  const int64_t hiddenPart =
      partOf(hidden, blocksOf(2 * threads(), static_cast<int64_t>(gradients.size())), productRows);
  const int64_t widthParts = blocksOf(width, widthPart), hiddenParts = blocksOf(hidden, hiddenPart);
  const int64_t parts = 2 * widthParts + hiddenParts;
  const auto add = [&](int64_t expert, int64_t first, int64_t count, const Tensor& a, bool gathersA,
                       const Tensor& b, float* out, int thread) {
    if (!out) return;
    const int64_t end = grouping.offsets[expert + 1];
    for (int64_t slot = grouping.offsets[expert]; slot < end;) {
      const int64_t next = blockEnd(grouping, slot, end);
      const int32_t* index = grouping.rows ? grouping.rows + slot : nullptr;
      training_.product({.rows = count,
                         .columns = b.columns,
                         .steps = next - slot,
                         .a = (gathersA && index ? a.data : a.row(slot)) + first,
                         .aStride = a.stride,
                         .aIndex = gathersA ? index : nullptr,
                         .transposed = true,
                         .b = {gathersA || !index ? b.row(slot) : b.data},
                         .bStride = b.stride,
                         .bIndex = gathersA ? nullptr : index,
                         .out = out + first * b.columns,
                         .outStride = b.columns,
                         .accumulates = true,
                         .scratch = scratch_[thread].product.data()});
      slot = next;
    }
  };
  parallel(static_cast<int64_t>(gradients.size()) * parts, 3 * grouping.slots * width * hidden,
           [&](int64_t item, int thread) {
             const int64_t expert = item / parts, part = item % parts;
             const ExpertGradients& gradient = gradients[static_cast<size_t>(expert)];
             if (part < 2 * widthParts) {
               const bool isUp = part >= widthParts;
               const int64_t first = part % widthParts * widthPart;
               add(expert, first, std::min(widthPart, width - first), isUp ? up : gate, false, x,
                   isUp ? gradient.up : gradient.gate, thread);
             } else {
               const int64_t first = (part - 2 * widthParts) * hiddenPart;
               add(expert, first, std::min(hiddenPart, hidden - first), dout, true, weighted, gradient.down,
                   thread);
             }
           });
}

}  // namespace rnd1::cpu
