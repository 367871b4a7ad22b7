#pragma once

#include <cuda_runtime.h>

#include <functional>
#include <map>
#include <memory>

#include "backend/backend.h"

namespace rnd1::cuda {

/**
 * Sequences of launches as CUDA graphs. The first run of a key is not recorded: it sets up tables and kernel
 * attributes. The second is recorded; all later ones are one launch.
 */
class Recordings {
 public:
  /** Throws Error cuda_error if the calls of a key need more memory than in their first run. */
  void run(cudaStream_t stream, const SequenceKey& key, const std::function<void()>& ops);

  /** Whether `ops` are being recorded; memory must not move meanwhile. */
  bool recording() const { return recording_; }

  /** To be called when memory moves, with an idle stream. Does nothing during a recording. */
  void clear() noexcept {
    if (!recording_) known_.clear();
  }

 private:
  struct Destroy {
    void operator()(cudaGraphExec_t graph) const noexcept { cudaGraphExecDestroy(graph); }
  };
  using Graph = std::unique_ptr<std::remove_pointer_t<cudaGraphExec_t>, Destroy>;

  /** Bounds the memory for canvases of many different lengths. */
  static constexpr size_t maxKnown = 32;

  Graph record(cudaStream_t stream, const std::function<void()>& ops);

  std::map<SequenceKey, Graph> known_;  // null: has run once, not recorded yet
  bool recording_ = false;
};

}  // namespace rnd1::cuda
