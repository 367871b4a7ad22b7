#pragma once

#include <atomic>
#include <exception>
#include <mutex>

#include "core/abort.h"

namespace rnd1 {

/** Keeps the first error of jobs that must not throw; after an error or abort, `guard` skips further work. */
class Failure {
 public:
  explicit Failure(const AbortFlag& abort) : abort_(abort) {}

  template <typename Body>
  void guard(Body&& body) noexcept {
    if (failed_.load(std::memory_order_relaxed) || abort_.aborted()) return;
    try {
      body();
    } catch (...) {
      const std::lock_guard lock(mutex_);
      if (!error_) error_ = std::current_exception();
      failed_ = true;
    }
  }

  void rethrow() const {
    if (error_) std::rethrow_exception(error_);
    abort_.throwIfAborted();
  }

 private:
  const AbortFlag& abort_;
  std::atomic<bool> failed_{false};
  std::mutex mutex_;
  std::exception_ptr error_;
};

}  // namespace rnd1
