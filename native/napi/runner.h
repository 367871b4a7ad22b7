#pragma once

#include <condition_variable>
#include <list>
#include <memory>
#include <mutex>
#include <thread>

#include "core/abort.h"

namespace rnd1 {

/**
 * A piece of work for a Runner, which gives the job away to itself: what it holds may have to be freed on
 * another thread than the runner's.
 */
class Job {
 public:
  virtual ~Job() = default;
  virtual void run(std::unique_ptr<Job> self) noexcept = 0;
  /** Called instead of `run` when the job never gets its turn. */
  virtual void cancel(std::unique_ptr<Job> self) noexcept = 0;
  /** Stops `run` early; null when it cannot be stopped. */
  virtual std::shared_ptr<AbortFlag> abortFlag() const noexcept { return nullptr; }
};

/** One thread that takes jobs in order. Steps take their time: they never sit on the event loop's own
 * threads. */
class Runner {
 public:
  Runner() : thread_([this] { loop(); }) {}
  ~Runner() { stop(); }
  Runner(const Runner&) = delete;
  Runner& operator=(const Runner&) = delete;

  /** After `stop` the job is cancelled at once. */
  void post(std::unique_ptr<Job> job);
  /** Aborts what runs and cancels what waits; later jobs still run. */
  void interrupt();
  /** `interrupt`, then ends the thread and waits for it. Idempotent; not from the thread itself. */
  void stop();

 private:
  void loop();

  std::mutex mutex_;
  std::condition_variable wake_;
  std::list<std::unique_ptr<Job>> queue_;  // to be emptied without new memory
  std::shared_ptr<AbortFlag> running_;
  bool stopping_ = false;
  std::thread thread_;
};

}  // namespace rnd1
