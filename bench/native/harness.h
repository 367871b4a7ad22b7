#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "backend/backend.h"
#include "core/simulated_threads.h"
#include "options.h"

namespace rnd1::bench {

/** An op at one size. */
struct Case {
  std::string name;                                    // "qkv"; unique within its bench
  std::vector<std::pair<std::string, int64_t>> shape;  // {"rows", 256}, …
  double operations = 0;                               // a multiply-add is two
  double bytes = 0;                                    // minimum that any implementation must read or write
  std::function<void(int64_t)> call = nullptr;         // runs the op; the argument counts earlier calls
  bool sequence = true;  // calls may be recorded together: they use no host memory and do not wait
};

/** Launches with one name in a step. */
struct LaunchSum {
  std::string name;
  int64_t launches = 0;
  double seconds = 0;
};

/** Creates the backend with the thresholds of the options. Throws Error invalid_argument for one it does not
 * have. */
std::unique_ptr<Backend> backendOf(const Options& options);

/** The simulation of all backends of this program, if `options` ask for one; null otherwise. */
SimulatedThreads* simulationOf(const Options& options);

/** Measures and prints one JSON object per line. */
class Bench {
 public:
  Bench(Backend& backend, const Options& options) : backend(backend), options(options) {}

  /** Peaks of the device; always the first line. */
  void reportPeaks() const;
  /** One line with the medians of the runs and of the peaks, which are measured alternately. */
  void report(const Case& measured) const;
  /** One line per name: device time of these launches in one call. */
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
