// The mixture of experts on the CPU: route, experts, and the dense MLP, which is one expert with all rows.
#include <algorithm>
#include <cmath>
#include <limits>

#include "backend/cpu/cpu_backend.h"

namespace rnd1::cpu {
namespace {

/** The best k of one row, best first, ties to the lower id. */
void selectExperts(const float* logits, int64_t experts, int64_t k, int32_t* ids) {
  for (int64_t rank = 0; rank < k; ++rank) {
    int32_t best = -1;
    for (int32_t expert = 0; expert < experts; ++expert) {
      if (best >= 0 && !(logits[expert] > logits[best])) continue;
      if (std::find(ids, ids + rank, expert) == ids + rank) best = expert;
    }
    ids[rank] = best;
  }
}

/** The softmax over all experts at the chosen ids. */
void routingWeights(const float* logits, int64_t experts, const int32_t* ids, int64_t k, bool normalise,
                    float* weights) {
  float maximum = -std::numeric_limits<float>::infinity();
  for (int64_t expert = 0; expert < experts; ++expert) maximum = std::max(maximum, logits[expert]);
  float sum = 0;
  for (int64_t expert = 0; expert < experts; ++expert) sum += std::exp(logits[expert] - maximum);
  float chosen = 0;
  for (int64_t rank = 0; rank < k; ++rank) {
    weights[rank] = std::exp(logits[ids[rank]] - maximum) / sum;
    chosen += weights[rank];
  }
  if (!normalise) return;
  for (int64_t rank = 0; rank < k; ++rank) weights[rank] /= chosen;
}

/** Counting sort of the slots by expert, ascending within each. */
void groupByExpert(Dispatch& dispatch) {
  const int64_t slots = dispatch.rows * dispatch.expertsPerToken;
  std::fill(dispatch.offsets, dispatch.offsets + dispatch.experts + 1, 0);
  for (int64_t slot = 0; slot < slots; ++slot) ++dispatch.offsets[dispatch.expertIds[slot] + 1];
  for (int64_t expert = 0; expert < dispatch.experts; ++expert)
    dispatch.offsets[expert + 1] += dispatch.offsets[expert];
  // Each start moves to its end while filling; moving all of them one place up restores the starts.
  for (int64_t slot = 0; slot < slots; ++slot)
    dispatch.slots[dispatch.offsets[dispatch.expertIds[slot]]++] = static_cast<int32_t>(slot);
  for (int64_t expert = dispatch.experts; expert > 0; --expert)
    dispatch.offsets[expert] = dispatch.offsets[expert - 1];
  dispatch.offsets[0] = 0;
}

}  // namespace

void CpuBackend::route(Tensor x, const Weight& router, const RouteOptions& options, Dispatch& dispatch) {
  const int64_t k = options.expertsPerToken;
  const int64_t experts = router.rows;
  dispatch.rows = x.rows;
  dispatch.experts = experts;
  dispatch.expertsPerToken = k;
  matmul(x, {&router, 1}, Tensor(dispatch.routerLogits, x.rows, experts));
  parallel(x.rows, x.rows * experts * (8 + k), [&](int64_t row, int) {
    const float* logits = dispatch.routerLogits + row * experts;
    int32_t* ids = dispatch.expertIds + row * k;
    if (options.forcedExperts) {
      std::copy_n(options.forcedExperts + row * k, k, ids);
    } else {
      selectExperts(logits, experts, k, ids);
    }
    routingWeights(logits, experts, ids, k, options.normalise, dispatch.weights + row * k);
  });
  groupByExpert(dispatch);
}

void CpuBackend::gateUpBlock(const RowSource& x, int64_t rows, const ExpertWeights& weights, int64_t block,
                             Tensor activated, Scratch& scratch) const {
  const int64_t first = block * columnBlock;
  const int64_t columns = std::min(columnBlock, weights.gate.rows - first);
  const int64_t inner = weights.gate.columns;
  float* gate = scratch.products.data();
  float* up = gate + rows * columnBlock;
  const WeightBlock gateWeights = widened(weights.gate, first, columns, scratch.weights.data());
  kernels_.dotBlock(x, rows, gateWeights.data, gateWeights.stride, columns, inner, gate, columns);
  const WeightBlock upWeights = widened(weights.up, first, columns, scratch.weights.data());
  kernels_.dotBlock(x, rows, upWeights.data, upWeights.stride, columns, inner, up, columns);
  kernels_.swiglu(gate, up, rows * columns, arithmetic_);
  for (int64_t row = 0; row < rows; ++row) {
    const int64_t slot = x.index ? x.index[row] : row;
    std::copy_n(gate + row * columns, columns, activated.row(slot) + first);
  }
}

void CpuBackend::experts(Tensor x, std::span<const ExpertWeights> weights, const Dispatch& dispatch,
                         Tensor activated, Tensor out) {
  if (weights[0].gate.quantized()) return quantized_->experts(x, weights, dispatch, out);
  const int64_t k = dispatch.expertsPerToken;
  const int64_t slots = dispatch.rows * k;
  const int64_t width = weights[0].gate.rows;
  const int64_t blocks = blocksOf(width);
  const auto count = static_cast<int64_t>(weights.size());
  parallel(count * blocks, 2 * slots * width * x.columns, [&](int64_t item, int thread) {
    const int64_t expert = item / blocks;
    const int64_t first = dispatch.offsets[expert];
    const int64_t rows = dispatch.offsets[expert + 1] - first;
    if (rows == 0) return;
    gateUpBlock({x.data, x.stride, dispatch.slots + first, k}, rows, weights[expert], item % blocks,
                activated, scratch_[thread]);
  });
  // One item owns a block of output columns and adds the experts in the order of their ids: no atomics, one
  // order.
  parallel(blocksOf(out.columns), slots * width * out.columns, [&](int64_t block, int thread) {
    const int64_t firstColumn = block * columnBlock;
    const int64_t columns = std::min(columnBlock, out.columns - firstColumn);
    for (int64_t row = 0; row < out.rows; ++row) std::fill_n(out.row(row) + firstColumn, columns, 0.0f);
    for (int64_t expert = 0; expert < count; ++expert) {
      const int64_t first = dispatch.offsets[expert];
      const int64_t rows = dispatch.offsets[expert + 1] - first;
      if (rows == 0) continue;
      const WeightBlock down =
          widened(weights[expert].down, firstColumn, columns, scratch_[thread].weights.data());
      kernels_.dotBlockAccumulate(activated.data, activated.stride, dispatch.slots + first, k,
                                  dispatch.weights, rows, down.data, down.stride, columns, width,
                                  out.data + firstColumn, out.stride);
    }
  });
}

void CpuBackend::mlp(Tensor x, const ExpertWeights& weights, Tensor activated, Tensor out) {
  if (weights.gate.quantized()) return quantized_->mlp(x, weights, out);
  parallel(blocksOf(weights.gate.rows), 2 * x.rows * x.columns * weights.gate.rows,
           [&](int64_t block, int thread) {
             gateUpBlock({x.data, x.stride, nullptr, 1}, x.rows, weights, block, activated, scratch_[thread]);
           });
  matmul(activated, {&weights.down, 1}, out);
}

}  // namespace rnd1::cpu
