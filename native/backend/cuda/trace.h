#pragma once

#include <cuda_runtime.h>

#include <string>
#include <utility>
#include <vector>

#include "backend/backend.h"

namespace rnd1::cuda {

/** Times launches on the device, by an event behind each. */
class LaunchTrace {
 public:
  LaunchTrace() = default;
  ~LaunchTrace();
  LaunchTrace(const LaunchTrace&) = delete;
  LaunchTrace& operator=(const LaunchTrace&) = delete;

  /** From here on launches of this thread are traced. */
  void start(cudaStream_t stream);
  /** Whether `start` was called last. */
  bool running() const { return running_; }
  /** A sequence begins: the host's work before it is not the first launch's time. */
  void mark(cudaStream_t stream) { record(stream, ""); }
  /** Behind a launch. */
  void mark(cudaStream_t stream, const char* what);
  /** Ends tracing, waits, and gives what ran. */
  std::vector<TracedLaunch> finish(cudaStream_t stream);

  /** The trace of this thread's launches; null: none. */
  static LaunchTrace* active();

  /** What is being computed, for the names of launches that serve several ops: "5120 x 2048". */
  std::string context;

 private:
  void record(cudaStream_t stream, std::string name);

  std::vector<cudaEvent_t> events_;  // kept from trace to trace
  std::vector<std::string> names_;   // of the launch before each event that was recorded; empty: none
  cudaStream_t stream_ = nullptr;
  bool running_ = false;
};

}  // namespace rnd1::cuda
