#include "core/parallel.h"

#include "core/simulated_threads.h"

namespace rnd1 {
namespace {

// A step is a rapid succession of short jobs: a worker that spins briefly catches the next one.
constexpr int spinsBeforeSleep = 4000;

inline void relax() {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  __asm__ __volatile__("yield");
#endif
}

}  // namespace

ThreadPool::ThreadPool(int threads, SimulatedThreads* simulated) : threads_(threads), simulated_(simulated) {
  if (simulated) return;
  try {
    for (int thread = 1; thread < threads; ++thread) workers_.emplace_back([this, thread] { work(thread); });
  } catch (...) {
    // No more threads available. Stops the others here, since a failed constructor skips the destructor.
    stopping_ = true;
    {
      std::lock_guard lock(mutex_);
      generation_.fetch_add(1);
    }
    wake_.notify_all();
    for (auto& worker : workers_) worker.join();
    throw;
  }
}

ThreadPool::~ThreadPool() {
  stopping_ = true;
  {
    std::lock_guard lock(mutex_);
    generation_.fetch_add(1);
  }
  wake_.notify_all();
  for (auto& worker : workers_) worker.join();
}

void ThreadPool::run(int64_t count, Function function, void* context) {
  if (count <= 0) return;
  if (simulated_) return simulated_->run(count, function, context, threads_);
  if (workers_.empty() || count == 1) {
    for (int64_t item = 0; item < count; ++item) function(context, item, 0);
    return;
  }
  function_ = function;
  context_ = context;
  count_ = count;
  next_.store(0, std::memory_order_relaxed);
  busy_.store(static_cast<int>(workers_.size()), std::memory_order_relaxed);
  {
    std::lock_guard lock(mutex_);
    generation_.fetch_add(1, std::memory_order_release);
  }
  wake_.notify_all();
  for (int64_t item; (item = next_.fetch_add(1, std::memory_order_relaxed)) < count;)
    function(context, item, 0);
  for (int spins = 0; busy_.load(std::memory_order_acquire) != 0; ++spins) {
    if (spins < spinsBeforeSleep) {
      relax();
    } else {
      std::this_thread::yield();
    }
  }
}

void ThreadPool::waitForJob(uint64_t seen) {
  for (int spins = 0; spins < spinsBeforeSleep; ++spins) {
    if (generation_.load(std::memory_order_acquire) != seen) return;
    relax();
  }
  std::unique_lock lock(mutex_);
  wake_.wait(lock, [&] { return generation_.load(std::memory_order_acquire) != seen; });
}

void ThreadPool::work(int thread) {
  for (uint64_t seen = 0;;) {
    waitForJob(seen);
    ++seen;
    if (stopping_) return;
    for (int64_t item; (item = next_.fetch_add(1, std::memory_order_relaxed)) < count_;)
      function_(context_, item, thread);
    busy_.fetch_sub(1, std::memory_order_release);
  }
}

}  // namespace rnd1
