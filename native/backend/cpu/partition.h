#pragma once

#include <cstdint>

#include "core/parallel.h"

/** Splits the work of ops into items for the thread pool. */
namespace rnd1::cpu {

/** Multiples of this are multiples of the rows and columns of every instruction set's register tile. */
constexpr int64_t tileMultiple = 12;

/** Minimum number of items per thread, so that threads finish at about the same time. */
constexpr int64_t itemsPerThread = 16;

constexpr int64_t blocksOf(int64_t count, int64_t block) { return (count + block - 1) / block; }

/** Part size that splits `count` into about `parts`: a multiple of tileMultiple, at most `max`. */
constexpr int64_t partOf(int64_t count, int64_t parts, int64_t max) {
  // Callers divide by the result: never 0, even for an empty range.
  if (count <= 0 || max <= 0) return tileMultiple;
  const int64_t part = blocksOf(blocksOf(count, parts), tileMultiple) * tileMultiple;
  return part < max ? part : max;
}

/**
 * Part size, a multiple of tileMultiple, with which `threads` threads that take part after part finish
 * `count` soonest: they share the parts evenly, or there are many. `overhead` is what each part costs
 * besides, in tiles.
 */
constexpr int64_t evenPart(int64_t count, int64_t threads, double overhead) {
  const int64_t tiles = blocksOf(count, tileMultiple);
  int64_t best = 1;
  double shortest = 0;
  for (int64_t part = 1; part <= blocksOf(tiles, threads); ++part) {
    const auto rounds = static_cast<double>(blocksOf(blocksOf(tiles, part), threads));
    // An eighth of a part: cores are not equally fast, and the last parts wait for the slowest.
    const double time = rounds * (static_cast<double>(part) + overhead) + static_cast<double>(part) / 8;
    if (part == 1 || time < shortest) {
      best = part;
      shortest = time;
    }
  }
  return best * tileMultiple;
}

/** Rows that are multiplied together, in nearly equal tiles; sized to fit a cache. */
struct RowBlock {
  int64_t first = 0;
  int64_t rows = 0;
  int64_t tiles = 0;

  int64_t tileStart(int64_t tile) const { return tile * rows / tiles; }
  int64_t tileRows(int64_t tile) const { return tileStart(tile + 1) - tileStart(tile); }
};

/** job(item, thread) for each item: on the pool, or in a plain loop for fewer than `worthSharing`
 * operations. */
template <typename Job>
void forEachItem(ThreadPool& pool, int64_t items, int64_t operations, int64_t worthSharing, Job&& job) {
  if (operations < worthSharing) {
    for (int64_t item = 0; item < items; ++item) job(item, 0);
  } else {
    pool.forEach(items, job);
  }
}

}  // namespace rnd1::cpu
