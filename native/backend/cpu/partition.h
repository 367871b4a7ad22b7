#pragma once

#include <cstdint>

#include "core/parallel.h"

/** How ops cut their work into items for the thread pool. */
namespace rnd1::cpu {

/** Multiples of this are multiples of the rows and columns of every instruction set's register tile. */
constexpr int64_t tileMultiple = 12;

/** Items for each thread at least, so that none waits long for the last one. */
constexpr int64_t itemsPerThread = 16;

constexpr int64_t blocksOf(int64_t count, int64_t block) { return (count + block - 1) / block; }

/** `count` in about `parts` parts, each a multiple of tileMultiple between it and `max`. */
constexpr int64_t partOf(int64_t count, int64_t parts, int64_t max) {
  // Nothing makes no parts, and dividing by their size must stay possible.
  if (count <= 0 || max <= 0) return tileMultiple;
  const int64_t part = blocksOf(blocksOf(count, parts), tileMultiple) * tileMultiple;
  return part < max ? part : max;
}

/** Rows that are multiplied together, in nearly equal tiles: their bytes fit a cache. */
struct RowBlock {
  int64_t first = 0;
  int64_t rows = 0;
  int64_t tiles = 0;

  int64_t tileStart(int64_t tile) const { return tile * rows / tiles; }
  int64_t tileRows(int64_t tile) const { return tileStart(tile + 1) - tileStart(tile); }
};

/** job(item, thread) for each item: on the pool, or in a plain loop where fewer than `worthSharing`
 * operations do not pay for waking it. */
template <typename Job>
void forEachItem(ThreadPool& pool, int64_t items, int64_t operations, int64_t worthSharing, Job&& job) {
  if (operations < worthSharing) {
    for (int64_t item = 0; item < items; ++item) job(item, 0);
  } else {
    pool.forEach(items, job);
  }
}

}  // namespace rnd1::cpu
