#include "model/architecture.h"

#include <algorithm>

#include "core/error.h"

namespace rnd1 {
namespace {

constexpr int64_t maxSize = int64_t{1} << 24;

void require(bool condition, const char* what) {
  if (!condition) throw Error(ErrorCode::unsupportedModel, std::string("impossible model sizes: ") + what);
}

void requireSizes(std::initializer_list<int64_t> sizes) {
  for (const int64_t size : sizes)
    require(size > 0 && size <= maxSize, "every size must be between 1 and 2^24");
}

void validate(const AttentionShape& attention) {
  const auto& [heads, keyValueHeads, headDim] = attention.heads;
  requireSizes({heads, keyValueHeads, headDim, attention.rotaryWidth});
  require(headDim % 2 == 0, "the head dimension must be even");
  require(heads % keyValueHeads == 0, "query heads must be a multiple of key/value heads");
  require(attention.rotaryWidth % 2 == 0 && attention.rotaryWidth <= headDim,
          "the rotary width must be even and at most the head dimension");
  require(attention.ropeTheta > 0, "theta must be positive");
  require(attention.mask.block >= 0, "the block of the attention mask must not be negative");
}

void validate(const MlpShape& mlp) {
  requireSizes({mlp.width});
  if (mlp.experts == 0) return;
  requireSizes({mlp.experts, mlp.expertsPerToken});
  require(mlp.expertsPerToken <= mlp.experts, "experts per token must not exceed the experts");
  require(mlp.sharedWidth >= 0 && mlp.sharedWidth <= maxSize, "every size must be between 1 and 2^24");
  RouteOptions route = routeOptions(mlp);
  static constexpr std::byte some{};
  if (mlp.selectionBias) route.selectionBias = Weight(&some, DType::f32, 1, mlp.experts);
  checkRoute(route, mlp.experts);
}

}  // namespace

RouteOptions routeOptions(const MlpShape& mlp) {
  RouteOptions route;
  route.expertsPerToken = mlp.expertsPerToken;
  route.normalise = mlp.normalise;
  route.score = mlp.score;
  route.groups = mlp.groups;
  route.scale = mlp.scale;
  return route;
}

int64_t Architecture::expertLayers() const {
  return std::count_if(layers.begin(), layers.end(), [](const auto& layer) { return layer.mlp.experts > 0; });
}

int64_t Architecture::experts() const {
  for (const LayerShape& layer : layers)
    if (layer.mlp.experts > 0) return layer.mlp.experts;
  return 0;
}

int64_t Architecture::expertsPerToken() const {
  for (const LayerShape& layer : layers)
    if (layer.mlp.experts > 0) return layer.mlp.expertsPerToken;
  return 0;
}

void Architecture::validate() const {
  requireSizes({static_cast<int64_t>(layers.size()), hidden, vocabulary, maxPositions});
  require(rmsNormEpsilon >= 0, "the epsilon of norms must not be negative");
  const int64_t anyExperts = experts(), anyPerToken = expertsPerToken();
  for (const auto& [attention, mlp] : layers) {
    rnd1::validate(attention);
    rnd1::validate(mlp);
    require(mlp.experts == 0 || (mlp.experts == anyExperts && mlp.expertsPerToken == anyPerToken),
            "all layers with experts must have the same number of them, and per token");
  }
  require(prediction.shift == 0 || prediction.shift == 1, "the prediction shift must be 0 or 1");
}

}  // namespace rnd1
