#pragma once

#include <cstdint>

#include "backend/sampling.h"

namespace rnd1 {

/** Which row of the logits predicts which position. */
struct Prediction {
  int32_t shift = 0;        // row i − shift predicts position i
  bool keepsFirst = false;  // with a shift: whether position 0 keeps its token, or its own row predicts it

  /** The row that predicts `position`; negative if none does. */
  constexpr int32_t row(int32_t position) const {
    return position < shift && !keepsFirst ? position : position - shift;
  }
  /** The ScoreRow of a masked position. */
  constexpr ScoreRow scoreRow(int32_t canvas, int32_t position, int32_t token) const {
    return {canvas, position, token, row(position) >= 0};
  }
};

/** RND1 keeps the shift of the autoregressive model that it was converted from. */
constexpr Prediction previousRow{1, true};

}  // namespace rnd1
