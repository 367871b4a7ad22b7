#include "core/parallel.h"

#include "core/simulated_threads.h"

namespace rnd1 {
namespace {

// A step is a rapid succession of short jobs: a worker that spins briefly catches the next one.
constexpr int spinsBeforeSleep = 4000;

// Fields of `state_`: the workers that take part, whether more may, and the number of the job. The job after
// the last has the number `stopping`.
constexpr uint64_t workersMask = 0xffff;
constexpr uint64_t open = workersMask + 1;
constexpr int jobShift = 17;
constexpr uint64_t stopping = ~uint64_t{0} >> jobShift;

constexpr uint64_t jobOf(uint64_t state) { return state >> jobShift; }

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
    announce(stopping << jobShift);
    for (auto& worker : workers_) worker.join();
    throw;
  }
}

ThreadPool::~ThreadPool() {
  announce(stopping << jobShift);
  for (auto& worker : workers_) worker.join();
}

void ThreadPool::announce(uint64_t state) {
  {
    std::lock_guard lock(mutex_);
    state_.store(state, std::memory_order_release);
  }
  wake_.notify_all();
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
  const uint64_t job = (jobOf(state_.load(std::memory_order_relaxed)) + 1) % stopping;
  announce(job << jobShift | open);
  for (int64_t item; (item = next_.fetch_add(1, std::memory_order_relaxed)) < count;)
    function(context, item, 0);
  // A worker that wakes up from now on comes too late, and does not touch this job.
  state_.fetch_and(~open, std::memory_order_relaxed);
  for (int spins = 0; (state_.load(std::memory_order_acquire) & workersMask) != 0; ++spins) {
    if (spins < spinsBeforeSleep) {
      relax();
    } else {
      std::this_thread::yield();
    }
  }
}

uint64_t ThreadPool::waitForJob(uint64_t seen) {
  for (;;) {
    uint64_t state = state_.load(std::memory_order_acquire);
    for (int spins = 0; jobOf(state) == seen && spins < spinsBeforeSleep; ++spins) {
      relax();
      state = state_.load(std::memory_order_acquire);
    }
    if (jobOf(state) == seen) {
      std::unique_lock lock(mutex_);
      wake_.wait(lock, [&] {
        state = state_.load(std::memory_order_acquire);
        return jobOf(state) != seen;
      });
    }
    seen = jobOf(state);
    while (seen != stopping && (state & open) && jobOf(state) == seen)
      if (state_.compare_exchange_weak(state, state + 1, std::memory_order_acq_rel,
                                       std::memory_order_acquire))
        return seen;
    if (seen == stopping) return stopping;
  }
}

void ThreadPool::work(int thread) {
  for (uint64_t seen = 0; (seen = waitForJob(seen)) != stopping;) {
    for (int64_t item; (item = next_.fetch_add(1, std::memory_order_relaxed)) < count_;)
      function_(context_, item, thread);
    state_.fetch_sub(1, std::memory_order_release);
  }
}

}  // namespace rnd1
