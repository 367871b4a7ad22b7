#include "backend/cuda/recording.h"

#include "backend/cuda/launch.h"

namespace rnd1::cuda {

void Recordings::run(cudaStream_t stream, const SequenceKey& key, const std::function<void()>& ops) {
  const auto found = known_.find(key);
  if (found == known_.end()) {
    ops();
    // After `ops`, which may move memory and clear this.
    if (known_.size() >= maxKnown) {
      check(cudaStreamSynchronize(stream), "running on the GPU");
      known_.clear();
    }
    known_.emplace(key, nullptr);
    return;
  }
  if (!found->second) found->second = record(stream, ops);
  check(cudaGraphLaunch(found->second.get(), stream), "launching a recorded step");
}

Recordings::Graph Recordings::record(cudaStream_t stream, const std::function<void()>& ops) {
  check(cudaStreamBeginCapture(stream, cudaStreamCaptureModeThreadLocal), "recording a step");
  cudaGraph_t graph = nullptr;
  recording_ = true;
  try {
    ops();
    recording_ = false;
  } catch (...) {
    recording_ = false;
    cudaStreamEndCapture(stream, &graph);
    if (graph) cudaGraphDestroy(graph);
    cudaGetLastError();
    throw;
  }
  check(cudaStreamEndCapture(stream, &graph), "recording a step");
  cudaGraphExec_t executable = nullptr;
  const cudaError_t status = cudaGraphInstantiate(&executable, graph, 0);
  cudaGraphDestroy(graph);
  check(status, "recording a step");
  return Graph(executable);
}

}  // namespace rnd1::cuda
