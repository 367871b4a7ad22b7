// The dense MLP: one expert with all rows.
#include <algorithm>

#include "backend/cpu/matmul.h"

namespace rnd1::cpu {
namespace {

// Columns of gate and up that one thread works on at a time.
constexpr int64_t expertColumns = 48;

}  // namespace

void CpuBackend::mlp(Tensor x, const ExpertWeights& weights, Tensor activated, Tensor out) {
  if (weights.gate.quantized()) return quantized_->mlp(x, weights, out);
  const RowSource source = matmulRows(x);
  const int64_t width = weights.gate.rows;
  const int64_t part = partOf(width, 4 * threads(), expertColumns);
  parallel(blocksOf(width, part), 2 * x.rows * x.columns * width, [&](int64_t item, int thread) {
    gateUpBlock(source, x.rows, weights, item * part, std::min(part, width - item * part), activated,
                scratch_[thread]);
  });
  matmul(activated, {&weights.down, 1}, out);
}

}  // namespace rnd1::cpu
