#pragma once

#include "harness.h"
#include "memory.h"

namespace rnd1::bench {

/** Outputs of `route`, in backend memory. */
class RouteMemory {
 public:
  RouteMemory(Backend& backend, int64_t rows, int64_t experts, int64_t expertsPerToken)
      : logits_(backend, rows * experts),
        weights_(backend, rows * expertsPerToken),
        ids_(backend, rows * expertsPerToken),
        slots_(backend, rows * expertsPerToken),
        offsets_(backend, experts + 1) {
    dispatch.rows = rows;
    dispatch.experts = experts;
    dispatch.expertsPerToken = expertsPerToken;
    dispatch.routerLogits = logits_.data();
    dispatch.expertIds = ids_.data();
    dispatch.weights = weights_.data();
    dispatch.offsets = offsets_.data();
    dispatch.slots = slots_.data();
  }

  Dispatch dispatch;

 private:
  DeviceArray<float> logits_, weights_;
  DeviceArray<int32_t> ids_, slots_, offsets_;
};

/**
 * Expert ids (rows, k) of a load. even: all experts have equally many rows. random: as from a router with
 * random weights. skewed: half of the experts, the first of them with every row, as for a canvas of masks.
 */
std::vector<int32_t> chooseExperts(const Options& options, int64_t rows);

int64_t distinct(std::span<const int32_t> ids);

/** The largest sizes of route and experts. */
inline Limits limitsOf(const Options& options, int64_t rows) {
  Limits limits;
  limits.rows = rows;
  limits.innerColumns = std::max(options.hidden, options.expertWidth);
  limits.experts = options.experts;
  limits.expertWidth = options.expertWidth;
  limits.expertColumns = options.hidden;
  limits.expertsPerToken = options.expertsPerToken;
  return limits;
}

}  // namespace rnd1::bench
