#pragma once

#include <string>
#include <vector>

#include "checkpoint/loader.h"
#include "model/architecture.h"
#include "model/buffer.h"

namespace rnd1 {

/** The routers and experts of all layers that have them, and the dense MLPs beside these. */
class Experts {
 public:
  Experts(Backend& backend, const Architecture& architecture);

  /** Loads the next layer, if it has experts. */
  void load(Loader& loader);
  static int64_t tensors(const MlpShape& shape) {
    return 1 + (shape.selectionBias ? 1 : 0) + 3 * shape.experts + (shape.sharedWidth > 0 ? 3 : 0);
  }
  void reserve(int64_t rows, Limits& limits);

  /**
   * delta (rows, hidden) = the MLP of normed rows. `forced` (rows, k), in host memory: use these experts;
   * empty: the router's. Returns the routing, valid until the next run.
   */
  const Dispatch& run(size_t layer, Tensor normed, std::span<const int32_t> forced, Tensor delta);

 private:
  struct LayerWeights {
    Weight router;                       // [experts, hidden]
    Weight selectionBias;                // (experts); no data: none
    std::vector<ExpertWeights> experts;  // empty for layers without
    ExpertWeights shared;
  };

  Backend& backend_;
  const Architecture& architecture_;
  std::vector<LayerWeights> weights_;  // by layer
  Dispatch dispatch_;
  Buffer<float> activated_;        // (rows · k, width)
  Buffer<float> sharedActivated_;  // (rows, sharedWidth)
  Buffer<float> shared_;           // (rows, hidden)
  Buffer<float> routerLogits_, routingWeights_;
  Buffer<int32_t> expertIds_, expertOffsets_, slots_, forced_;
};

}  // namespace rnd1
