#pragma once

#include <vector>

#include "model/architecture.h"
#include "model/buffer.h"

namespace rnd1 {

/** Which activations the backward pass computes again, instead of keeping them: the same bits. */
enum class Recompute {
  none,
  attention,  // queries, keys and values
  layer       // all but the input of each layer
};

/** What a layer leaves for its backward pass. */
struct LayerActivations {
  Tensor input;                 // (rows, hidden) the residual stream before attention
  Tensor before;                // (rows, query and key columns) before head norms; no data without these
  Tensor qkv;                   // (rows, layout.columns())
  Tensor attended;              // (rows, layout.queryColumns())
  float* logSumExp = nullptr;   // (rows, heads)
  Tensor middle;                // (rows, hidden) the residual stream before the MLP
  Dispatch dispatch;            // of experts
  Tensor gate, up;              // (rows · k, width), or (rows, width) of a dense MLP
  Tensor sharedGate, sharedUp;  // (rows, sharedWidth)
};

/** The activations of all layers in one block of memory, which grows with the number of rows. */
class Activations {
 public:
  Activations(Backend& backend, const Architecture& architecture, Recompute recompute)
      : architecture_(architecture), recompute_(recompute), memory_(backend) {}

  Recompute recompute() const { return recompute_; }
  void reserve(int64_t rows);
  LayerActivations& operator[](size_t layer) { return layers_[layer]; }

 private:
  class Arena;
  /** Lays all tensors out from `base` on; returns the number of floats. */
  int64_t layOut(float* base, int64_t rows);

  const Architecture& architecture_;
  const Recompute recompute_;
  Buffer<float> memory_;
  std::vector<LayerActivations> layers_;
};

}  // namespace rnd1
