#include "napi/runner.h"

#include <utility>

namespace rnd1 {
namespace {

void cancel(std::unique_ptr<Job> job) noexcept {
  Job& itself = *job;
  itself.cancel(std::move(job));
}

}  // namespace

void Runner::post(std::unique_ptr<Job> job) {
  {
    std::lock_guard lock(mutex_);
    if (!stopping_) {
      queue_.push_back(std::move(job));
      wake_.notify_one();
      return;
    }
  }
  cancel(std::move(job));
}

void Runner::interrupt() {
  std::list<std::unique_ptr<Job>> waiting;
  {
    std::lock_guard lock(mutex_);
    waiting.swap(queue_);
    if (running_) running_->abort();
  }
  for (auto& job : waiting) cancel(std::move(job));
}

void Runner::stop() {
  {
    std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  interrupt();
  wake_.notify_one();
  if (thread_.joinable()) thread_.join();
}

void Runner::loop() {
  for (;;) {
    std::unique_ptr<Job> job;
    {
      std::unique_lock lock(mutex_);
      wake_.wait(lock, [this] { return stopping_ || !queue_.empty(); });
      if (queue_.empty()) return;
      job = std::move(queue_.front());
      queue_.pop_front();
      running_ = job->abortFlag();
    }
    Job& itself = *job;
    itself.run(std::move(job));
    std::lock_guard lock(mutex_);
    running_.reset();
  }
}

}  // namespace rnd1
