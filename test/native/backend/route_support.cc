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

Routing route(Backend& backend, const Matrix& x, const HostWeight& router, const RouteOptions& options) {
  const int64_t experts = router.mapped().rows;
  backend.reserve(limitsOf(x.rows, x.columns, 1, experts, options.expertsPerToken));
  const DeviceMatrix input(backend, x);
  DeviceDispatch dispatch(backend, x.rows, experts, options.expertsPerToken);
  backend.route(input, backend.place(router.mapped()), options, dispatch.view);
  return hostOf(dispatch);
}

}  // namespace rnd1::test
