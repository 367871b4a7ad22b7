#pragma once

#include <cstdint>

#include "backend/sampling.h"

/** Which logits predict which position: RND1 keeps the shift of the autoregressive model that it was made
 * from. */
namespace rnd1 {

/** The position whose logits predict the token at `position`; negative where nothing does. */
constexpr int32_t predictingPosition(int32_t position) { return position - 1; }

/** A masked position of a canvas, as scores are asked for. */
constexpr ScoreRow scoreRow(int32_t canvas, int32_t position, int32_t token) {
  return {canvas, position, token, predictingPosition(position) >= 0};
}

}  // namespace rnd1
