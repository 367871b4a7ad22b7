#include "core/simulated_threads.h"

#include <algorithm>
#include <chrono>

namespace rnd1 {

void SimulatedThreads::run(int64_t count, Function function, void* context, int threads) {
  using Clock = std::chrono::steady_clock;
  busy_.assign(static_cast<size_t>(threads), 0);
  auto last = Clock::now();
  for (int64_t item = 0; item < count; ++item) {
    const auto freed = std::min_element(busy_.begin(), busy_.end());
    function(context, item, static_cast<int>(freed - busy_.begin()));
    const auto now = Clock::now();
    const double seconds = std::chrono::duration<double>(now - last).count();
    last = now;
    *freed += seconds;
    serialSeconds_ += seconds;
  }
  parallelSeconds_ += *std::max_element(busy_.begin(), busy_.end());
  ++jobs_;
}

}  // namespace rnd1
