#pragma once

#include <cuda_runtime.h>

#include <functional>
#include <map>
#include <memory>

#include "backend/backend.h"

namespace rnd1::cuda {

/**
 * Sequences of launches as CUDA graphs. The first run of a key is an ordinary one, which leaves everything in
 * its place (tables, attributes of kernels); the second is recorded; all later ones are one launch.
 */
class Recordings {
 public:
  /** Throws Error cuda_error where the calls of a key ask for more memory than when they were first made. */
  void run(cudaStream_t stream, const SequenceKey& key, const std::function<void()>& ops);

  /** Whether `ops` are being recorded: memory may not move then. */
  bool recording() const { return recording_; }

  /** To be called when memory moves. The stream must be idle. While something is recorded it does nothing. */
  void clear() noexcept {
    if (!recording_) known_.clear();
  }

 private:
  struct Destroy {
    void operator()(cudaGraphExec_t graph) const noexcept { cudaGraphExecDestroy(graph); }
  };
  using Graph = std::unique_ptr<std::remove_pointer_t<cudaGraphExec_t>, Destroy>;

  /** Canvases of ever new lengths must not fill the memory. */
  static constexpr size_t maxKnown = 32;

  Graph record(cudaStream_t stream, const std::function<void()>& ops);

  std::map<SequenceKey, Graph> known_;  // null: has run once
  bool recording_ = false;
};

}  // namespace rnd1::cuda
