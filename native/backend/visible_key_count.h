#pragma once

#include <stdint.h>

namespace rnd1 {

/**
 * The rule of AttentionMask: how many of `keys` keys the query at `position` sees. Static, because kernels of
 * several instruction sets include it and must not share a copy.
 */
static constexpr int64_t visibleKeyCount(int64_t block, int64_t position, int64_t keys) {
  if (block == 0) return keys;
  const int64_t end = (position / block + 1) * block;
  return end < keys ? end : keys;
}

}  // namespace rnd1
