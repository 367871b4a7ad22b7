// The backward pass: the gradient of the residual stream, from the head down to the embedding.
#include "training/network.h"

namespace rnd1 {

Tensor Network::normedAgain(Tensor residual, const Weight& scale) {
  const Tensor normed = rows(normed_, architecture_.hidden);
  backend_.addRmsNorm(residual, nullptr, scale, architecture_.rmsNormEpsilon, normed);
  return normed;
}

void Network::mlpBackward(size_t index) {
  const MlpShape& shape = architecture_.layers[index].mlp;
  const LayerParameters& weights = parameters_.layer(index);
  LayerActivations& a = activations_[index];
  const int64_t hidden = architecture_.hidden;
  const Tensor residual = rows(residualGradient_, hidden), gradient = rows(normedGradient_, hidden);
  const Tensor normed = normedAgain(a.middle, weights.mlpNorm.value);
  ops_.clear({gradient.data, static_cast<size_t>(rows_ * hidden)});
  if (shape.experts == 0) {
    ops_.mlpBackward(normed, weights.experts[0], a.gate, a.up, residual, gradient,
                     weights.expertGradients[0]);
  } else {
    ops_.expertsBackward(normed, weights.experts, a.dispatch, a.gate, a.up, residual, gradient,
                         routingGradient_.data(), weights.expertGradients);
    if (shape.sharedWidth > 0)
      ops_.mlpBackward(normed, weights.shared, a.sharedGate, a.sharedUp, residual, gradient,
                       weights.sharedGradients);
    const Tensor logits = rows(routerGradient_, shape.experts);
    const float* balance = balance_.data() + static_cast<int64_t>(index) * architecture_.experts();
    ops_.routeBackward(a.dispatch, routeOptions(shape), routingGradient_.data(),
                       {balanced_ ? balance : nullptr, z_}, logits);
    Tensor dx = gradient;
    ops_.matmulBackward(normed, {&weights.router.value, 1}, logits, &dx, true, {&weights.router.gradient, 1});
  }
  ops_.rmsNormBackward(a.middle, weights.mlpNorm.value, architecture_.rmsNormEpsilon, gradient, residual,
                       weights.mlpNorm.gradient);
}

void Network::attentionBackward(size_t index) {
  const AttentionShape& shape = architecture_.layers[index].attention;
  const HeadLayout& heads = shape.heads;
  const LayerParameters& weights = parameters_.layer(index);
  LayerActivations& a = activations_[index];
  const float epsilon = architecture_.rmsNormEpsilon;
  const Tensor residual = rows(residualGradient_, architecture_.hidden);
  Tensor attended = rows(attendedGradient_, heads.queryColumns());
  ops_.matmulBackward(a.attended, {&weights.output.value, 1}, residual, &attended, false,
                      {&weights.output.gradient, 1});
  const Tensor qkv = rows(qkvGradient_, heads.columns());
  ops_.attentionBackward(a.qkv, a.attended, a.logSumExp, attended, heads, canvases_, mask(index),
                         attentionScale(index), qkv);
  ops_.normRopeBackward(a.before, heads, {{}, weights.queryNorm.value, weights.keyNorm.value, epsilon},
                        positions_.data(), rotary_[rotaryOf_[index]], qkv,
                        {weights.bias.gradient, weights.queryNorm.gradient, weights.keyNorm.gradient});
  const Tensor normed = normedAgain(a.input, weights.attentionNorm.value);
  Tensor gradient = rows(normedGradient_, architecture_.hidden);
  const Weight projections[] = {weights.query.value, weights.key.value, weights.value.value};
  float* const gradients[] = {weights.query.gradient, weights.key.gradient, weights.value.gradient};
  ops_.matmulBackward(normed, projections, qkv, &gradient, false, gradients);
  ops_.rmsNormBackward(a.input, weights.attentionNorm.value, epsilon, gradient, residual,
                       weights.attentionNorm.gradient);
}

void Network::layersBackward(const AbortFlag& abort) {
  const int64_t hidden = architecture_.hidden;
  const Tensor residual = rows(residualGradient_, hidden), gradient = rows(normedGradient_, hidden);
  ops_.scatterRows(Tensor(scoredGradient_.data(), scored_.count, hidden), scored_.rows, gradient);
  ops_.clear({residual.data, static_cast<size_t>(rows_ * hidden)});
  ops_.rmsNormBackward(rows(final_, hidden), parameters_.norm.value, architecture_.rmsNormEpsilon, gradient,
                       residual, parameters_.norm.gradient);
  for (size_t index = architecture_.layers.size(); index-- > 0;) {
    abort.throwIfAborted();
    if (activations_.recompute() != Recompute::none) projectQueries(index, nullptr);
    if (activations_.recompute() == Recompute::layer) {
      attend(index);
      runMlp(index);
    }
    mlpBackward(index);
    attentionBackward(index);
  }
  if (parameters_.embedding.gradient)
    ops_.embedBackward(tokens_.data(), residual, parameters_.embedding.gradient);
}

}  // namespace rnd1
