#include "model/workspace.h"

#include <algorithm>
#include <cmath>
#include <vector>

namespace rnd1 {

Workspace::Workspace(Backend& backend, const Config& config)
    : forcedExperts(backend),
      residual(backend),
      normed(backend),
      delta(backend),
      qkv(backend),
      attended(backend),
      activated(backend),
      gathered(backend),
      rotary(backend),
      logits(backend),
      routerLogits(backend),
      routingWeights(backend),
      expertIds(backend),
      expertOffsets(backend),
      slots(backend),
      scores(backend),
      backend_(backend),
      config_(config) {}

void Workspace::reserve(int64_t rows, int64_t length) {
  const int64_t slotCount = sizeProduct(rows, config_.expertsPerToken);
  const int64_t stateCount = sizeProduct(rows, config_.hidden);
  residual.reserve(stateCount);
  normed.reserve(stateCount);
  delta.reserve(stateCount);
  gathered.reserve(stateCount);
  qkv.reserve(sizeProduct(rows, config_.headLayout().columns()));
  attended.reserve(sizeProduct(rows, config_.headLayout().queryColumns()));
  activated.reserve(sizeProduct(slotCount, config_.expertWidth));
  routerLogits.reserve(sizeProduct(rows, config_.experts));
  routingWeights.reserve(slotCount);
  expertIds.reserve(slotCount);
  forcedExperts.reserve(slotCount);
  slots.reserve(slotCount);
  expertOffsets.reserve(config_.experts + 1);
  extendRotary(length);
}

void Workspace::extendRotary(int64_t positionCount) {
  if (positionCount <= rotaryPositions_) return;
  const int64_t half = config_.headDim / 2;
  std::vector<float> table(static_cast<size_t>(positionCount * config_.headDim));
  for (int64_t position = 0; position < positionCount; ++position) {
    float* row = table.data() + position * config_.headDim;
    for (int64_t i = 0; i < half; ++i) {
      const double frequency =
          std::pow(config_.ropeTheta, -2.0 * static_cast<double>(i) / static_cast<double>(config_.headDim));
      const double angle = static_cast<double>(position) * frequency;
      row[i] = static_cast<float>(std::cos(angle));
      row[half + i] = static_cast<float>(std::sin(angle));
    }
  }
  rotaryPositions_ = 0;
  rotary.reserve(static_cast<int64_t>(table.size()));
  backend_.upload(rotary.data(), table.data(), table.size() * sizeof(float));
  rotaryPositions_ = positionCount;
}

Dispatch Workspace::dispatch() const {
  Dispatch dispatch;
  dispatch.routerLogits = routerLogits.data();
  dispatch.expertIds = expertIds.data();
  dispatch.weights = routingWeights.data();
  dispatch.offsets = expertOffsets.data();
  dispatch.slots = slots.data();
  return dispatch;
}

}  // namespace rnd1
