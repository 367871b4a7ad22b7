#pragma once

#include "backend/backend.h"
#include "model/buffer.h"
#include "model/config.h"

namespace rnd1 {

/** All buffers that a pass writes, sized for the largest batch so far. Linear in the number of rows. */
class Workspace {
 public:
  Workspace(Backend& backend, const Config& config);

  /** Reserves memory for `rows` packed rows of canvases of at most `length` each. */
  void reserve(int64_t rows, int64_t length);

  Buffer<int32_t> forcedExperts;
  Buffer<float> residual;   // (rows, hidden), f32 throughout
  Buffer<float> normed;     // (rows, hidden)
  Buffer<float> delta;      // (rows, hidden): what a block adds to the residual
  Buffer<float> qkv;        // (rows, layout.columns())
  Buffer<float> attended;   // (rows, layout.queryColumns())
  Buffer<float> activated;  // (rows · k, expertWidth)
  Buffer<float> gathered;   // (rows, hidden)
  Buffer<float> rotary;     // (positions, headDim)
  Buffer<float> logits;     // reserved on demand
  Buffer<float> routerLogits, routingWeights;
  Buffer<int32_t> expertIds, expertOffsets, slots;
  Buffer<Score> scores;  // reserved on demand

  Tensor rotaryTable() const { return {rotary.data(), rotaryPositions_, config_.headDim}; }
  Dispatch dispatch() const;

 private:
  void extendRotary(int64_t positions);

  Backend& backend_;
  const Config config_;
  int64_t rotaryPositions_ = 0;
};

}  // namespace rnd1
