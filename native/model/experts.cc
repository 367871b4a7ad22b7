#include "model/experts.h"

#include <algorithm>

#include "model/mlp.h"

namespace rnd1 {

Experts::Experts(Backend& backend, const Architecture& architecture)
    : backend_(backend),
      architecture_(architecture),
      activated_(backend),
      sharedActivated_(backend),
      shared_(backend),
      routerLogits_(backend),
      routingWeights_(backend),
      expertIds_(backend),
      expertOffsets_(backend),
      slots_(backend),
      forced_(backend) {}

void Experts::load(Loader& loader) {
  const size_t index = weights_.size();
  const MlpShape& shape = architecture_.layers[index].mlp;
  LayerWeights& layer = weights_.emplace_back();
  if (shape.experts == 0) return;
  const int64_t hidden = architecture_.hidden;
  const std::string role = "layers." + std::to_string(index) + ".mlp.";
  layer.router = loader.loadUnquantized(role + "router", {shape.experts, hidden});
  if (shape.selectionBias)
    layer.selectionBias = loader.loadUnquantized(role + "selectionBias", {shape.experts});
  // One by one: sizes that the tensors do not confirm must not allocate.
  for (int64_t number = 0; number < shape.experts; ++number)
    layer.experts.push_back(
        loadMlp(loader, role + "experts." + std::to_string(number) + ".", shape.width, hidden));
  if (shape.sharedWidth > 0) layer.shared = loadMlp(loader, role + "shared.", shape.sharedWidth, hidden);
}

void Experts::reserve(int64_t rows, Limits& limits) {
  const int64_t experts = architecture_.experts();
  if (experts == 0) return;
  int64_t width = 0, sharedWidth = 0;
  for (const auto& [attention, mlp] : architecture_.layers)
    if (mlp.experts > 0) {
      width = std::max(width, mlp.width);
      sharedWidth = std::max(sharedWidth, mlp.sharedWidth);
    }
  limits.innerColumns = std::max({limits.innerColumns, architecture_.hidden, width, sharedWidth});
  limits.experts = experts;
  limits.expertWidth = width;
  limits.expertColumns = architecture_.hidden;
  limits.expertsPerToken = architecture_.expertsPerToken();

  const int64_t slotCount = sizeProduct(rows, limits.expertsPerToken);
  activated_.reserve(sizeProduct(slotCount, width));
  if (sharedWidth > 0) {
    sharedActivated_.reserve(sizeProduct(rows, sharedWidth));
    shared_.reserve(sizeProduct(rows, architecture_.hidden));
  }
  routerLogits_.reserve(sizeProduct(rows, experts));
  routingWeights_.reserve(slotCount);
  expertIds_.reserve(slotCount);
  forced_.reserve(slotCount);
  slots_.reserve(slotCount);
  expertOffsets_.reserve(experts + 1);
  dispatch_.routerLogits = routerLogits_.data();
  dispatch_.expertIds = expertIds_.data();
  dispatch_.weights = routingWeights_.data();
  dispatch_.offsets = expertOffsets_.data();
  dispatch_.slots = slots_.data();
}

const Dispatch& Experts::run(size_t index, Tensor normed, std::span<const int32_t> forced, Tensor delta) {
  const LayerWeights& layer = weights_[index];
  const MlpShape& shape = architecture_.layers[index].mlp;
  RouteOptions route = routeOptions(shape);
  route.selectionBias = layer.selectionBias;
  if (!forced.empty()) {
    backend_.upload(forced_.data(), forced.data(), forced.size_bytes());
    route.forcedExperts = forced_.data();
  }
  backend_.route(normed, layer.router, route, dispatch_);
  backend_.experts(normed, layer.experts, dispatch_,
                   Tensor(activated_.data(), normed.rows * shape.expertsPerToken, shape.width), delta);
  if (shape.sharedWidth > 0) {
    const Tensor shared = tensorIn(shared_, normed, architecture_.hidden);
    backend_.mlp(normed, layer.shared, tensorIn(sharedActivated_, normed, shape.sharedWidth), shared);
    backend_.add(shared, delta);
  }
  return dispatch_;
}

}  // namespace rnd1
