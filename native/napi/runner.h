#pragma once

#include <condition_variable>
#include <list>
#include <memory>
#include <mutex>
#include <thread>

#include "core/abort.h"

namespace rnd1 {

/**
 * Work for a Runner, which passes ownership of the job to `run` or `cancel`: its captures may have to be
 * destroyed on the JavaScript thread.
 */
class Job {
 public:
  virtual ~Job() = default;
  virtual void run(std::unique_ptr<Job> self) noexcept = 0;
  /** Called instead of `run` if the job never starts. */
  virtual void cancel(std::unique_ptr<Job> self) noexcept = 0;
  /** Flag that stops `run` early; null if it cannot be stopped. */
  virtual std::shared_ptr<AbortFlag> abortFlag() const noexcept { return nullptr; }
};

/** One thread that runs jobs in order, so that long steps never block the event loop's threads. */
class Runner {
 public:
  Runner() : thread_([this] { loop(); }) {}
  ~Runner() { stop(); }
  Runner(const Runner&) = delete;
  Runner& operator=(const Runner&) = delete;

  /** After `stop`, the job is cancelled immediately. */
  void post(std::unique_ptr<Job> job);
  /** Aborts the running job and cancels waiting ones; later jobs still run. */
  void interrupt();
  /** `interrupt`, then ends the thread and waits for it. Idempotent; not to be called from the thread
   * itself. */
  void stop();

 private:
  void loop();

  std::mutex mutex_;
  std::condition_variable wake_;
  std::list<std::unique_ptr<Job>> queue_;  // emptied without allocating
  std::shared_ptr<AbortFlag> running_;
  bool stopping_ = false;
  std::thread thread_;
};

}  // namespace rnd1
