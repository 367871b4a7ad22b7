#include "backend/cuda/trace.h"

#include "backend/cuda/launch.h"

namespace rnd1::cuda {
namespace {

thread_local LaunchTrace* activeTrace = nullptr;

}  // namespace

LaunchTrace::~LaunchTrace() {
  if (activeTrace == this) activeTrace = nullptr;
  for (const cudaEvent_t event : events_) cudaEventDestroy(event);
}

LaunchTrace* LaunchTrace::active() { return activeTrace; }

void LaunchTrace::start(cudaStream_t stream) {
  names_.clear();
  context.clear();
  stream_ = stream;
  running_ = true;
  activeTrace = this;
  mark(stream);
}

void LaunchTrace::record(cudaStream_t stream, std::string name) {
  if (names_.size() == events_.size()) {
    cudaEvent_t event = nullptr;
    check(cudaEventCreateWithFlags(&event, cudaEventDefault), "creating an event");
    events_.push_back(event);
  }
  check(cudaEventRecord(events_[names_.size()], stream), "tracing launches");
  names_.push_back(std::move(name));
}

void LaunchTrace::mark(cudaStream_t stream, const char* what) {
  // This thread may be using another backend.
  if (stream != stream_) return;
  record(stream, context.empty() ? what : std::string(what) + " " + context);
}

std::vector<TracedLaunch> LaunchTrace::finish(cudaStream_t stream) {
  running_ = false;
  activeTrace = nullptr;
  check(cudaStreamSynchronize(stream), "running on the GPU");
  std::vector<TracedLaunch> launches;
  for (size_t i = 1; i < names_.size(); ++i) {
    if (names_[i].empty()) continue;
    float milliseconds = 0;
    check(cudaEventElapsedTime(&milliseconds, events_[i - 1], events_[i]), "tracing launches");
    launches.push_back({names_[i], static_cast<double>(milliseconds) / 1e3});
  }
  return launches;
}

}  // namespace rnd1::cuda
