#pragma once

#include <atomic>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <mutex>
#include <thread>
#include <type_traits>
#include <vector>

namespace rnd1 {

/** Two cache lines: processors prefetch the neighbour of a line, and some have lines of 128 bytes. */
constexpr size_t separateBytes = 128;

class SimulatedThreads;

/**
 * A fork-join pool. The calling thread takes part, so a pool of one starts no threads, and a job never waits
 * for a thread that is still asleep: it ends when its items have ended. One caller at a time. Jobs must not
 * throw.
 */
class ThreadPool {
 public:
  /** `simulated`: takes the place of the threads, and must outlive the pool. */
  explicit ThreadPool(int threads, SimulatedThreads* simulated = nullptr);
  ~ThreadPool();
  ThreadPool(const ThreadPool&) = delete;
  ThreadPool& operator=(const ThreadPool&) = delete;

  int threads() const { return threads_; }

  /**
   * Calls job(item, thread) for every item in [0, count), handed out one by one; returns when all are done.
   */
  template <typename Job>
  void forEach(int64_t count, Job&& job) {
    using Callable = std::remove_reference_t<Job>;
    run(
        count,
        [](void* context, int64_t item, int thread) { (*static_cast<Callable*>(context))(item, thread); },
        const_cast<void*>(static_cast<const void*>(&job)));
  }

 private:
  using Function = void (*)(void* context, int64_t item, int thread);

  void run(int64_t count, Function function, void* context);
  void work(int thread);
  /** Waits for another job than `seen` and takes part in it. Returns its number; a special one once the pool
   * is stopping. */
  uint64_t waitForJob(uint64_t seen);
  /** Announces a job, or the end, to all workers. */
  void announce(uint64_t state);

  const int threads_;
  SimulatedThreads* const simulated_;
  Function function_ = nullptr;
  void* context_ = nullptr;
  int64_t count_ = 0;
  // Apart: threads write the first for every item, and read the second while they wait.
  alignas(separateBytes) std::atomic<int64_t> next_{0};
  // The number of the latest job, whether workers may still take part in it, and how many do.
  alignas(separateBytes) std::atomic<uint64_t> state_{0};
  alignas(separateBytes) std::mutex mutex_;
  std::condition_variable wake_;
  std::vector<std::thread> workers_;
};

}  // namespace rnd1
