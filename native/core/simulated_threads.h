#pragma once

#include <cstdint>
#include <vector>

namespace rnd1 {

/**
 * Stands in for the threads of a pool: runs all items on the calling thread, each as the thread that would be
 * free first, and adds up how long so many threads would have taken. For tests and benchmarks of more threads
 * than the machine has cores. It sees how evenly work is divided and what remains serial, not what threads
 * share: memory, caches, and the time to wake them.
 */
class SimulatedThreads {
 public:
  using Function = void (*)(void* context, int64_t item, int thread);

  void run(int64_t count, Function function, void* context, int threads);

  /** Forgets the sums. */
  void reset() { *this = {}; }

  /** Seconds that the items of all jobs took, one after another. */
  double serialSeconds() const { return serialSeconds_; }
  /** Seconds that they would have taken on the threads. */
  double parallelSeconds() const { return parallelSeconds_; }
  int64_t jobs() const { return jobs_; }

 private:
  double serialSeconds_ = 0;
  double parallelSeconds_ = 0;
  int64_t jobs_ = 0;
  std::vector<double> busy_;  // seconds of each thread in the running job
};

}  // namespace rnd1
