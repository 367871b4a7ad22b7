#include "route_support.h"

#include <algorithm>

namespace rnd1::test {

Limits limitsOf(int64_t rows, int64_t hidden, int64_t width, int64_t experts, int64_t expertsPerToken) {
  Limits limits;
  limits.rows = rows;
  limits.innerColumns = std::max(hidden, width);
  limits.experts = experts;
  limits.expertWidth = width;
  limits.expertColumns = hidden;
  limits.expertsPerToken = expertsPerToken;
  return limits;
}

Routing hostOf(const DeviceDispatch& dispatch) {
  Routing result;
  result.logits = Matrix(dispatch.view.rows, dispatch.view.experts);
  result.logits.values = dispatch.logits.host();
  result.ids = dispatch.ids.host();
  result.weights = Matrix(dispatch.view.rows, dispatch.view.expertsPerToken);
  result.weights.values = dispatch.weights.host();
  result.offsets = dispatch.offsets.host();
  result.slots = dispatch.slots.host();
  return result;
}

}  // namespace rnd1::test
