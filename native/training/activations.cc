#include "training/activations.h"

#include <algorithm>

namespace rnd1 {

/** Hands out memory from a base on; from a null base it only counts. */
class Activations::Arena {
 public:
  explicit Arena(float* base, int64_t used = 0) : base_(base), used_(used) {}

  float* take(int64_t count) {
    float* const start = base_ ? base_ + used_ : nullptr;
    used_ = sizeSum(used_, sizeSum(count, 15) / 16 * 16);
    return start;
  }
  Tensor take(int64_t rows, int64_t columns) {
    return Tensor(take(sizeProduct(rows, columns)), rows, columns);
  }
  // An int32 takes the place of a float.
  int32_t* takeIntegers(int64_t count) { return reinterpret_cast<int32_t*>(take(count)); }
  int64_t used() const { return used_; }

 private:
  float* base_;
  int64_t used_;
};

int64_t Activations::layOut(float* base, int64_t rows) {
  layers_.assign(architecture_.layers.size(), {});
  Arena arena(base);
  const auto takeProjections = [&](Arena& from, const AttentionShape& shape, LayerActivations& layer) {
    const HeadLayout& heads = shape.heads;
    layer.qkv = from.take(rows, heads.columns());
    if (shape.headNorms) layer.before = from.take(rows, heads.queryColumns() + heads.keyValueColumns());
  };
  const auto takeRest = [&](Arena& from, const LayerShape& shape, LayerActivations& layer) {
    const HeadLayout& heads = shape.attention.heads;
    layer.attended = from.take(rows, heads.queryColumns());
    layer.logSumExp = from.take(sizeProduct(rows, heads.heads));
    layer.middle = from.take(rows, architecture_.hidden);
    const MlpShape& mlp = shape.mlp;
    int64_t slots = rows;
    if (mlp.experts > 0) {
      slots = sizeProduct(rows, mlp.expertsPerToken);
      layer.dispatch.routerLogits = from.take(sizeProduct(rows, mlp.experts));
      layer.dispatch.weights = from.take(slots);
      layer.dispatch.expertIds = from.takeIntegers(slots);
      layer.dispatch.slots = from.takeIntegers(slots);
      layer.dispatch.offsets = from.takeIntegers(mlp.experts + 1);
      if (mlp.sharedWidth > 0) {
        layer.sharedGate = from.take(rows, mlp.sharedWidth);
        layer.sharedUp = from.take(rows, mlp.sharedWidth);
      }
    }
    layer.gate = from.take(slots, mlp.width);
    layer.up = from.take(slots, mlp.width);
  };
  for (size_t i = 0; i < layers_.size(); ++i) {
    const LayerShape& shape = architecture_.layers[i];
    layers_[i].input = arena.take(rows, architecture_.hidden);
    if (recompute_ == Recompute::none) takeProjections(arena, shape.attention, layers_[i]);
    if (recompute_ != Recompute::layer) takeRest(arena, shape, layers_[i]);
  }
  // What is computed again has the same place for all layers.
  int64_t end = arena.used();
  for (size_t i = 0; i < layers_.size() && recompute_ != Recompute::none; ++i) {
    const LayerShape& shape = architecture_.layers[i];
    Arena shared(base, arena.used());
    takeProjections(shared, shape.attention, layers_[i]);
    if (recompute_ == Recompute::layer) takeRest(shared, shape, layers_[i]);
    end = std::max(end, shared.used());
  }
  return end;
}

void Activations::reserve(int64_t rows) {
  memory_.reserve(layOut(nullptr, rows));
  layOut(memory_.data(), rows);
}

}  // namespace rnd1
