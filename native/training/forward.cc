// The forward pass, which keeps what the backward pass needs.
#include <algorithm>

#include "training/network.h"

namespace rnd1 {

void Network::projectQueries(size_t index, const Tensor* delta) {
  const AttentionShape& shape = architecture_.layers[index].attention;
  const LayerParameters& weights = parameters_.layer(index);
  const LayerActivations& a = activations_[index];
  const float epsilon = architecture_.rmsNormEpsilon;
  const Tensor normed = rows(normed_, architecture_.hidden);
  backend_.addRmsNorm(a.input, delta, weights.attentionNorm.value, epsilon, normed);
  const Weight projections[] = {weights.query.value, weights.key.value, weights.value.value};
  ops_.matmul(normed, projections, a.qkv);
  if (shape.bias) ops_.addVector(reinterpret_cast<const float*>(weights.bias.value.data), a.qkv);
  if (shape.headNorms) ops_.copy(a.qkv.columnRange(0, a.before.columns), a.before);
  backend_.normRope(a.qkv, shape.heads, {{}, weights.queryNorm.value, weights.keyNorm.value, epsilon},
                    positions_.data(), rotary_[rotaryOf_[index]], a.qkv);
}

void Network::attend(size_t index) {
  const HeadLayout& heads = architecture_.layers[index].attention.heads;
  const LayerActivations& a = activations_[index];
  const int64_t queries = heads.queryColumns(), keys = heads.keyValueColumns();
  backend_.attention(a.qkv.columnRange(0, queries), a.qkv.columnRange(queries, keys),
                     a.qkv.columnRange(queries + keys, keys), heads,
                     {canvases_, positions_.data(), canvases_, {}}, mask(index), attentionScale(index),
                     a.attended, a.logSumExp);
}

void Network::runMlp(size_t index) {
  const MlpShape& shape = architecture_.layers[index].mlp;
  const LayerParameters& weights = parameters_.layer(index);
  LayerActivations& a = activations_[index];
  const Tensor delta = rows(delta_, architecture_.hidden), normed = rows(normed_, architecture_.hidden);
  ops_.matmul(a.attended, {&weights.output.value, 1}, delta);
  ops_.copy(a.input, a.middle);
  backend_.addRmsNorm(a.middle, &delta, weights.mlpNorm.value, architecture_.rmsNormEpsilon, normed);
  if (shape.experts == 0) return ops_.mlp(normed, weights.experts[0], a.gate, a.up, delta);
  backend_.route(normed, weights.router.value, routeOptions(shape), a.dispatch);
  // What the last layer adds to other rows is read by nobody; the losses of its router count them all the
  // same.
  if (index + 1 == architecture_.layers.size()) ops_.keepRows(scored_.rows, scored_.count, a.dispatch);
  ops_.experts(normed, weights.experts, a.dispatch, a.gate, a.up, delta);
  if (shape.sharedWidth == 0) return;
  const Tensor shared = rows(sharedDelta_, architecture_.hidden);
  ops_.mlp(normed, weights.shared, a.sharedGate, a.sharedUp, shared);
  backend_.add(shared, delta);
}

void Network::runLayers(const AbortFlag& abort) {
  const Tensor delta = rows(delta_, architecture_.hidden);
  backend_.embed(tokens_.data(), parameters_.embedding.value, activations_[0].input);
  const size_t layers = architecture_.layers.size();
  for (size_t index = 0; index < layers; ++index) {
    abort.throwIfAborted();
    projectQueries(index, index > 0 ? &delta : nullptr);
    attend(index);
    runMlp(index);
    Routing& routing = routing_[index];
    if (!routing.chosen.empty()) {
      std::fill(routing.probabilities.begin(), routing.probabilities.end(), 0.0);
      std::fill(routing.chosen.begin(), routing.chosen.end(), 0.0);
      RouterSums sums{routing.probabilities.data(), routing.chosen.data(), 0};
      ops_.routerSums(activations_[index].dispatch, sums);
      routing.squaredLogSumExp = sums.squaredLogSumExp;
    }
    // The MLP's result is added by the next norm.
    ops_.copy(activations_[index].middle,
              index + 1 < layers ? activations_[index + 1].input : rows(final_, architecture_.hidden));
  }
  backend_.addRmsNorm(rows(final_, architecture_.hidden), &delta, parameters_.norm.value,
                      architecture_.rmsNormEpsilon, rows(normed_, architecture_.hidden));
}

}  // namespace rnd1
