#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "backend/backend.h"
#include "options.h"

namespace rnd1::bench {

/** A verb at one size. */
struct Case {
  std::string name;                                    // "qkv"; what distinguishes it within its bench
  std::vector<std::pair<std::string, int64_t>> shape;  // {"rows", 256}, …
  double operations = 0;                               // a multiply-add is two
  double bytes = 0;                             // that any implementation must read or write, once each
  std::function<void(int64_t)> call = nullptr;  // the verb; it is told how many calls went before
};

/** Measures and prints one JSON object a line. */
class Bench {
 public:
  Bench(Backend& backend, const Options& options) : backend(backend), options(options) {}

  /** What the device reaches: always the first line. */
  void reportPeaks() const;
  /** A line with the medians of its runs and of the peaks, which are measured in turns with them. */
  void report(const Case& measured) const;

  Backend& backend;
  const Options& options;
};

// One file per verb; `registry` in main.cc names them.
void benchAttention(const Bench& bench);
void benchExperts(const Bench& bench);
void benchMatmul(const Bench& bench);
void benchNorms(const Bench& bench);
void benchRoute(const Bench& bench);
void benchScore(const Bench& bench);

}  // namespace rnd1::bench
