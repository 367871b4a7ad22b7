#pragma once

#include <string>
#include <vector>

#include "checkpoint/loader.h"
#include "model/architecture.h"
#include "model/buffer.h"
#include "model/rotary.h"

namespace rnd1 {

/** Packed rows of several canvases, as the layers see them. */
struct PackedRows {
  const int32_t* positions = nullptr;  // (rows), within their canvas
  CanvasOffsets canvases;
  const CanvasCache* caches = nullptr;  // (canvases); null: none has a cache
};

/** Some of the packed rows. */
struct RowSelection {
  const int32_t* rows = nullptr;  // (count)
  int64_t count = 0;
  const int32_t* validRows = nullptr;
};

/** The attention of all layers: weights, rotary tables, and the buffers that a layer's run leaves behind. */
class Attention {
 public:
  Attention(Backend& backend, const Architecture& architecture)
      : backend_(backend), architecture_(architecture), rotary_(backend), qkv_(backend), attended_(backend) {}

  /** Loads the next layer. */
  void load(Loader& loader);
  static int64_t tensors(const AttentionShape& shape) {
    return 6 + (shape.bias ? 3 : 0) + (shape.headNorms ? 2 : 0);  // with the output and two norms
  }

  /** Sizes buffers and tables, and raises `limits` to what the ops need. */
  void reserve(int64_t rows, int64_t length, Limits& limits);

  /** The norm of the rows that a layer gets. */
  const Weight& norm(size_t layer) const { return weights_[layer].norm; }

  /**
   * Attends over normed rows (rows, hidden); returns (rows, heads · headDim), valid until the next call.
   * `mask`: instead of the layer's own, if not null.
   */
  Tensor attend(size_t layer, Tensor normed, const PackedRows& rows, const AttentionMask* mask);

  /** Only some rows of what `attend` returned. */
  Tensor select(Tensor attended, const RowSelection& rows);

  /** delta (rows, hidden) = attended · outputᵀ. */
  void project(size_t layer, Tensor attended, Tensor delta) {
    backend_.matmul(attended, {&weights_[layer].output, 1}, delta);
  }

 private:
  struct LayerWeights {
    Weight norm;                // (hidden)
    Weight queryKeyValue[3];    // [heads · headDim | keyValueHeads · headDim, hidden]
    Weight bias;                // (layout.columns()); no data: none
    Weight queryNorm, keyNorm;  // (headDim); no data: none
    Weight output;              // [hidden, heads · headDim]
    size_t rotary = 0;          // index into rotary_
    int64_t cacheColumns = 0;   // of keys and values of the layers before
  };

  Backend& backend_;
  const Architecture& architecture_;
  std::vector<LayerWeights> weights_;
  RotaryTables rotary_;
  Buffer<float> qkv_;       // (rows, layout.columns())
  Buffer<float> attended_;  // (rows, layout.queryColumns())
};

}  // namespace rnd1
