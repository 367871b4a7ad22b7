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
 * A fork-join pool. The calling thread takes part, so a pool of one starts no threads. One caller at a time.
 * Jobs must not throw.
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
  void waitForJob(uint64_t seen);

  const int threads_;
  SimulatedThreads* const simulated_;
  Function function_ = nullptr;
  void* context_ = nullptr;
  int64_t count_ = 0;
  // Apart: every thread writes the first for each item, threads that have no item left read the last.
  alignas(separateBytes) std::atomic<int64_t> next_{0};
  alignas(separateBytes) std::atomic<int> busy_{0};
  alignas(separateBytes) std::atomic<uint64_t> generation_{0};
  alignas(separateBytes) std::atomic<bool> stopping_{false};
  std::mutex mutex_;
  std::condition_variable wake_;
  std::vector<std::thread> workers_;
};

}  // namespace rnd1
