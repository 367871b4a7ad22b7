#pragma once

#include <vector>

#include "tiny_model.h"

/** Shared by the tests of forward passes and of steps. */
namespace rnd1::test {

/** Ids of the tiny model's vocabulary. */
inline std::vector<int32_t> randomTokens(Noise& noise, int64_t count) {
  std::vector<int32_t> tokens;
  for (int64_t i = 0; i < count; ++i) tokens.push_back(static_cast<int32_t>(noise.below(101)));
  return tokens;
}

}  // namespace rnd1::test
