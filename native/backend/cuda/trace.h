#pragma once

#include <cuda_runtime.h>

#include <string>
#include <utility>
#include <vector>

#include "backend/backend.h"

namespace rnd1::cuda {

/** Times launches on the device by an event after each. */
class LaunchTrace {
 public:
  LaunchTrace() = default;
  ~LaunchTrace();
  LaunchTrace(const LaunchTrace&) = delete;
  LaunchTrace& operator=(const LaunchTrace&) = delete;

  /** Starts tracing the launches of this thread. */
  void start(cudaStream_t stream);
  /** Whether tracing is active. */
  bool running() const { return running_; }
  /** Starts a sequence, so that earlier host work does not count for its first launch. */
  void mark(cudaStream_t stream) { record(stream, ""); }
  /** To be called after a launch. */
  void mark(cudaStream_t stream, const char* what);
  /** Ends tracing, waits, and returns the launches. */
  std::vector<TracedLaunch> finish(cudaStream_t stream);

  /** The active trace of this thread, or null. */
  static LaunchTrace* active();

  /** Suffix for the names of launches that several ops share: "5120 x 2048". */
  std::string context;

 private:
  void record(cudaStream_t stream, std::string name);

  std::vector<cudaEvent_t> events_;  // reused by later traces
  std::vector<std::string> names_;   // launch before each recorded event; empty: none
  cudaStream_t stream_ = nullptr;
  bool running_ = false;
};

}  // namespace rnd1::cuda
