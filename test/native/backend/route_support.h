#pragma once

#include <vector>

#include "backends.h"

/** Shared by the tests of routing and of experts: the arrays of a Dispatch, to the backend and back. */
namespace rnd1::test {

/** The arrays of a Dispatch. */
struct DeviceDispatch {
  DeviceDispatch(Backend& backend, int64_t rows, int64_t experts, int64_t expertsPerToken)
      : logits(backend, static_cast<size_t>(rows * experts)),
        ids(backend, static_cast<size_t>(rows * expertsPerToken)),
        weights(backend, static_cast<size_t>(rows * expertsPerToken)),
        offsets(backend, static_cast<size_t>(experts + 1)),
        slots(backend, static_cast<size_t>(rows * expertsPerToken)) {
    view = {rows,       expertsPerToken, experts,        logits.data(),
            ids.data(), weights.data(),  offsets.data(), slots.data()};
  }

  DeviceArray<float> logits;
  DeviceArray<int32_t> ids;
  DeviceArray<float> weights;
  DeviceArray<int32_t> offsets;
  DeviceArray<int32_t> slots;
  Dispatch view;
};

struct Routing {
  Matrix logits;             // (rows, experts)
  std::vector<int32_t> ids;  // (rows, k)
  Matrix weights;            // (rows, k)
  std::vector<int32_t> offsets;
  std::vector<int32_t> slots;
};

Limits limitsOf(int64_t rows, int64_t hidden, int64_t width, int64_t experts, int64_t expertsPerToken);

Routing hostOf(const DeviceDispatch& dispatch);

/** Routes x on a backend. */
Routing route(Backend& backend, const Matrix& x, const HostWeight& router, const RouteOptions& options);

}  // namespace rnd1::test
