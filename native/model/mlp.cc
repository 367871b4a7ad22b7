#include "model/mlp.h"

#include <algorithm>

namespace rnd1 {

ExpertWeights loadMlp(Loader& loader, const std::string& role, int64_t width, int64_t hidden) {
  ExpertWeights weights;
  weights.gate = loader.loadMatmul(role + "gate", {width, hidden});
  weights.up = loader.loadMatmul(role + "up", {width, hidden});
  weights.down = loader.loadMatmul(role + "down", {hidden, width});
  return weights;
}

void DenseMlp::load(Loader& loader) {
  const size_t index = weights_.size();
  const MlpShape& shape = architecture_.layers[index].mlp;
  weights_.emplace_back();
  if (shape.experts > 0) return;
  weights_.back() =
      loadMlp(loader, "layers." + std::to_string(index) + ".mlp.", shape.width, architecture_.hidden);
}

void DenseMlp::reserve(int64_t rows, Limits& limits) {
  int64_t width = 0;
  for (const auto& [attention, mlp] : architecture_.layers)
    if (mlp.experts == 0) width = std::max(width, mlp.width);
  limits.innerColumns = std::max(limits.innerColumns, width);
  activated_.reserve(sizeProduct(rows, width));
}

void DenseMlp::run(size_t layer, Tensor normed, Tensor delta) const {
  const int64_t width = architecture_.layers[layer].mlp.width;
  backend_.mlp(normed, weights_[layer], tensorIn(activated_, normed, width), delta);
}

}  // namespace rnd1
