#pragma once

#include <atomic>

#include "core/error.h"

namespace rnd1 {

/** Set from any thread, polled between layers. */
class AbortFlag {
 public:
  void abort() noexcept { flag_.store(true, std::memory_order_relaxed); }
  bool aborted() const noexcept { return flag_.load(std::memory_order_relaxed); }
  void throwIfAborted() const {
    if (aborted()) throw Error(ErrorCode::aborted, "aborted");
  }

 private:
  std::atomic<bool> flag_{false};
};

}  // namespace rnd1
