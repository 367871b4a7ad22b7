#pragma once

#include <cstdint>

#include "backend/sampling.h"

/** Which logits predict which position: RND1 keeps the shift of the autoregressive model it was converted
 * from. */
namespace rnd1 {

/** The position whose logits predict the token at `position`; negative if none does. */
constexpr int32_t predictingPosition(int32_t position) { return position - 1; }

/** The ScoreRow of a masked position. */
constexpr ScoreRow scoreRow(int32_t canvas, int32_t position, int32_t token) {
  return {canvas, position, token, predictingPosition(position) >= 0};
}

}  // namespace rnd1
