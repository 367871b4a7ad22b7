#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "backend/backend.h"
#include "options.h"

namespace rnd1::bench {

/** An op at one size. */
struct Case {
  std::string name;                                    // "qkv"; what distinguishes it within its bench
  std::vector<std::pair<std::string, int64_t>> shape;  // {"rows", 256}, …
  double operations = 0;                               // a multiply-add is two
  double bytes = 0;                             // that any implementation must read or write, once each
  std::function<void(int64_t)> call = nullptr;  // the op; it is told how many calls went before
  bool sequence = true;  // calls may be recorded together: they take no host memory and wait for nothing
};

/** The launches of one name in a step. */
struct LaunchSum {
  std::string name;
  int64_t launches = 0;
  double seconds = 0;
};

/** The backend of the options, with their borders. Throws Error invalid_argument where it has no such border.
 */
std::unique_ptr<Backend> backendOf(const Options& options);

/** Measures and prints one JSON object a line. */
class Bench {
 public:
  Bench(Backend& backend, const Options& options) : backend(backend), options(options) {}

  /** What the device reaches: always the first line. */
  void reportPeaks() const;
  /** A line with the medians of its runs and of the peaks, which are measured in turns with them. */
  void report(const Case& measured) const;
  /** A line for each name: how long the device was at these launches in one call. */
  void report(const Case& measured, const std::vector<LaunchSum>& launches) const;

  Backend& backend;
  const Options& options;
};

// One file per op; `registry` in main.cc names them.
void benchAttention(const Bench& bench);
void benchExperts(const Bench& bench);
void benchMatmul(const Bench& bench);
void benchNorms(const Bench& bench);
void benchRoute(const Bench& bench);
void benchScore(const Bench& bench);
void benchStep(const Bench& bench);

}  // namespace rnd1::bench
