// The key/value caches of the canvases of a pass.
#include <algorithm>
#include <string>

#include "core/error.h"
#include "model/graph.h"

namespace rnd1 {
namespace {

[[noreturn]] void refuse(const std::string& message) {
  throw Error(ErrorCode::invalidArgument, "cache: " + message);
}

void checkOutputs(const StepCanvas& canvas, const Architecture& architecture) {
  if (!canvas.unconditional.empty()) refuse("guidance cannot be given with it");
  const Prediction prediction = canvas.prediction(architecture);
  for (const int32_t position : canvas.masked) {
    const int32_t row = prediction.row(position);
    if (row >= 0 && !canvas.cached.computes(row))
      refuse("masked position " + std::to_string(position) + " is predicted by row " + std::to_string(row) +
             ", which is not among the rows");
  }
}

void checkOutputs(const ForwardCanvas& canvas, const Architecture&) {
  if (!canvas.forcedExperts.empty()) refuse("forcedExperts cannot be given with it");
  for (const int32_t position : canvas.rows)
    if (!canvas.cached.computes(position))
      refuse("position " + std::to_string(position) + " is to be returned, but is not among the rows");
}

}  // namespace

template <typename Canvas>
bool Model::openCaches(std::span<Canvas> canvases, const AttentionMask* mask) const {
  bool any = false;
  for (size_t i = 0; i < canvases.size(); ++i) {
    const Canvas& canvas = canvases[i];
    const CachedRows& cached = canvas.cached;
    if (!cached.cache) continue;
    any = true;
    for (size_t other = 0; other < i; ++other)
      if (canvases[other].cached.cache == cached.cache) refuse("two canvases of a call have the same one");
    if (cached.positions.empty()) refuse("rows must not be empty");
    int32_t visible = 0;
    for (const LayerShape& layer : architecture_.layers)
      visible = std::max(visible,
                         (mask ? *mask : layer.attention.mask)
                             .visible(cached.positions.back(), static_cast<int32_t>(canvas.tokens.size())));
    cached.check(canvas.tokens.size(), visible);
    checkOutputs(canvas, architecture_);
  }
  for (const Canvas& canvas : canvases)
    if (canvas.cached.cache) canvas.cached.cache->setComputed(canvas.cached.positions, false);
  return any;
}
template bool Model::openCaches(std::span<StepCanvas>, const AttentionMask*) const;
template bool Model::openCaches(std::span<ForwardCanvas>, const AttentionMask*) const;

template <typename Canvas>
void Model::closeCaches(std::span<Canvas> canvases) {
  for (const Canvas& canvas : canvases)
    if (canvas.cached.cache) canvas.cached.cache->setComputed(canvas.cached.positions, true);
}
template void Model::closeCaches(std::span<StepCanvas>);
template void Model::closeCaches(std::span<ForwardCanvas>);

}  // namespace rnd1
