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

void forEachTensor(const Architecture& architecture, const std::function<void(const ModelTensor&)>& body) {
  const int64_t hidden = architecture.hidden;
  body({"embedding", {architecture.vocabulary, hidden}});
  for (size_t index = 0; index < architecture.layers.size(); ++index) {
    const auto& [attention, mlp] = architecture.layers[index];
    const HeadLayout& heads = attention.heads;
    const std::string layer = "layers." + std::to_string(index) + ".";
    body({layer + "attention.norm", {hidden}});
    body({layer + "attention.query", {heads.queryColumns(), hidden}, true});
    body({layer + "attention.key", {heads.keyValueColumns(), hidden}, true});
    body({layer + "attention.value", {heads.keyValueColumns(), hidden}, true});
    body({layer + "attention.output", {hidden, heads.queryColumns()}, true, true});
    body({layer + "attention.queryNorm", {heads.headDim}});
    body({layer + "attention.keyNorm", {heads.headDim}});
    body({layer + "mlp.norm", {hidden}});
    body({layer + "mlp.router", {mlp.experts, hidden}});
    for (int64_t number = 0; number < mlp.experts; ++number) {
      const std::string expert = layer + "mlp.experts." + std::to_string(number) + ".";
      body({expert + "gate", {mlp.width, hidden}, true});
      body({expert + "up", {mlp.width, hidden}, true});
      body({expert + "down", {hidden, mlp.width}, true, true});
    }
  }
  body({"norm", {hidden}});
  body({"head", {architecture.vocabulary, hidden}, true});
}

}  // namespace rnd1::bench
