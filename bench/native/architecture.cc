#include "architecture.h"

namespace rnd1::bench {

Architecture architectureOf(const Options& options) {
  LayerShape layer;
  layer.attention.heads = {options.heads, options.keyValueHeads, options.headDim};
  layer.attention.headNorms = true;
  layer.attention.rotaryWidth = options.headDim;
  layer.attention.ropeTheta = 1e6;
  layer.mlp.width = options.expertWidth;
  layer.mlp.experts = options.experts;
  layer.mlp.expertsPerToken = options.expertsPerToken;
  layer.mlp.normalise = true;
  Architecture architecture;
  architecture.layers.assign(static_cast<size_t>(options.layers), layer);
  architecture.hidden = options.hidden;
  architecture.vocabulary = options.vocabulary;
  architecture.maxPositions = 40960;
  architecture.rmsNormEpsilon = 1e-6f;
  architecture.prediction = previousRow;
  return architecture;
}

}  // namespace rnd1::bench
