// The host part of the CUDA runtime: the work of a stream is queued until the stream is synchronized.
#include <chrono>
#include <map>
#include <memory>
#include <vector>

#include "cuda_runtime.h"

using Work = std::vector<std::function<void()>>;

struct CUgraph_st {
  Work work;
};
struct CUgraphExec_st {
  Work work;
};

struct CUstream_st {
  Work work;
  cudaGraph_t recording = nullptr;
};

struct CUevent_st {
  cudaStream_t stream = nullptr;
  // Shared, because queued work of a stream may outlive the event.
  std::shared_ptr<std::chrono::steady_clock::time_point> when =
      std::make_shared<std::chrono::steady_clock::time_point>();
};

namespace {

int64_t graphLaunchCount = 0;
constexpr size_t defaultSharedBytes = 48 << 10;
constexpr size_t largestSharedBytes = 227 << 10;
constexpr unsigned largestCluster = 8;
constexpr size_t totalBytes = size_t{8} << 30;

std::function<void(const sim::Launch&, const void* kernel)> watchLaunch;
std::map<const void*, size_t> sharedLimits;
/** Page-locked memory: copies read it when they run, not when they are queued. */
std::map<const std::byte*, size_t> pinned;

bool isPinned(const void* memory) {
  const auto* bytes = static_cast<const std::byte*>(memory);
  auto next = pinned.upper_bound(bytes);
  if (next == pinned.begin()) return false;
  --next;
  return bytes < next->first + next->second;
}

void enqueue(cudaStream_t stream, std::function<void()> work) {
  (stream->recording ? stream->recording->work : stream->work).push_back(std::move(work));
}

}  // namespace

const char* cudaGetErrorName(cudaError_t error) {
  return error == cudaErrorMemoryAllocation ? "cudaErrorMemoryAllocation"
         : error == cudaErrorInvalidValue   ? "cudaErrorInvalidValue"
         : error == cudaErrorInvalidDevice  ? "cudaErrorInvalidDevice"
                                            : "cudaError";
}
const char* cudaGetErrorString(cudaError_t error) {
  return error == cudaErrorMemoryAllocation ? "out of memory" : "invalid argument";
}
cudaError_t cudaGetLastError() { return cudaSuccess; }
cudaError_t cudaDriverGetVersion(int* version) { return *version = 13000, cudaSuccess; }
cudaError_t cudaRuntimeGetVersion(int* version) { return *version = 13000, cudaSuccess; }
cudaError_t cudaGetDeviceCount(int* count) { return *count = 1, cudaSuccess; }

cudaError_t cudaGetDeviceProperties(cudaDeviceProp* properties, int device) {
  if (device != 0) return cudaErrorInvalidDevice;
  *properties = {"Simulated GPU", totalBytes, 9, 0, 4};
  return cudaSuccess;
}

cudaError_t cudaSetDevice(int device) { return device == 0 ? cudaSuccess : cudaErrorInvalidDevice; }

cudaError_t cudaMemGetInfo(size_t* free, size_t* total) {
  *total = totalBytes;
  *free = totalBytes - sim::deviceBytesInUse();
  return cudaSuccess;
}

cudaError_t cudaMalloc(void** memory, size_t bytes) {
  const sim::Inside inside;
  if (bytes > totalBytes - sim::deviceBytesInUse()) return cudaErrorMemoryAllocation;
  *memory = sim::allocateDevice(bytes);
  return *memory ? cudaSuccess : cudaErrorMemoryAllocation;
}

cudaError_t cudaFree(void* memory) {
  if (memory) sim::releaseDevice(memory);
  return cudaSuccess;
}

cudaError_t cudaMallocHost(void** memory, size_t bytes) {
  const sim::Inside inside;
  auto* block = new std::byte[bytes];
  pinned[block] = bytes;
  *memory = block;
  return cudaSuccess;
}

cudaError_t cudaFreeHost(void* memory) {
  const auto* block = static_cast<std::byte*>(memory);
  pinned.erase(block);
  delete[] block;
  return cudaSuccess;
}

cudaError_t cudaStreamCreateWithFlags(cudaStream_t* stream, unsigned) {
  *stream = new CUstream_st;
  return cudaSuccess;
}

cudaError_t cudaStreamDestroy(cudaStream_t stream) {
  delete stream;
  return cudaSuccess;
}

cudaError_t cudaStreamSynchronize(cudaStream_t stream) {
  if (stream->recording) return cudaErrorStreamCaptureUnsupported;
  const sim::Inside inside;
  // Removed first, so that a failure does not repeat.
  auto work = std::move(stream->work);
  stream->work.clear();
  const sim::DeviceAccess access;
  for (const auto& piece : work) piece();
  return cudaSuccess;
}

cudaError_t cudaStreamBeginCapture(cudaStream_t stream, cudaStreamCaptureMode) {
  const sim::Inside inside;
  stream->recording = new CUgraph_st;
  return cudaSuccess;
}

cudaError_t cudaStreamEndCapture(cudaStream_t stream, cudaGraph_t* graph) {
  *graph = stream->recording;
  stream->recording = nullptr;
  return cudaSuccess;
}

cudaError_t cudaGraphInstantiate(cudaGraphExec_t* executable, cudaGraph_t graph, unsigned long long) {
  const sim::Inside inside;
  *executable = new CUgraphExec_st{graph->work};
  return cudaSuccess;
}

cudaError_t cudaGraphDestroy(cudaGraph_t graph) {
  delete graph;
  return cudaSuccess;
}

cudaError_t cudaGraphExecDestroy(cudaGraphExec_t executable) {
  delete executable;
  return cudaSuccess;
}

cudaError_t cudaGraphLaunch(cudaGraphExec_t executable, cudaStream_t stream) {
  const sim::Inside inside;
  ++graphLaunchCount;
  for (const auto& piece : executable->work) enqueue(stream, piece);
  return cudaSuccess;
}

cudaError_t cudaEventCreateWithFlags(cudaEvent_t* event, unsigned) {
  const sim::Inside inside;
  *event = new CUevent_st;
  return cudaSuccess;
}

cudaError_t cudaEventDestroy(cudaEvent_t event) {
  delete event;
  return cudaSuccess;
}

cudaError_t cudaEventRecord(cudaEvent_t event, cudaStream_t stream) {
  const sim::Inside inside;
  event->stream = stream;
  enqueue(stream, [when = event->when] { *when = std::chrono::steady_clock::now(); });
  return cudaSuccess;
}

cudaError_t cudaEventElapsedTime(float* milliseconds, cudaEvent_t from, cudaEvent_t to) {
  *milliseconds = std::chrono::duration<float, std::milli>(*to->when - *from->when).count();
  return cudaSuccess;
}

cudaError_t cudaEventSynchronize(cudaEvent_t event) {
  return event->stream ? cudaStreamSynchronize(event->stream) : cudaSuccess;
}

cudaError_t cudaMemcpyAsync(void* destination, const void* source, size_t bytes, cudaMemcpyKind kind,
                            cudaStream_t stream) {
  return cudaMemcpy2DAsync(destination, bytes, source, bytes, bytes, 1, kind, stream);
}

cudaError_t cudaMemcpy2DAsync(void* destination, size_t destinationPitch, const void* source,
                              size_t sourcePitch, size_t width, size_t height, cudaMemcpyKind kind,
                              cudaStream_t stream) {
  const sim::Inside inside;
  if (width > destinationPitch || width > sourcePitch) return cudaErrorInvalidValue;
  if (width == 0 || height == 0) return cudaSuccess;
  // Pageable memory cannot be part of a recording.
  if (stream->recording && kind != cudaMemcpyDeviceToDevice) return cudaErrorStreamCaptureUnsupported;
  // Pageable memory has been read when the call returns; page-locked memory is read when the copy runs, and
  // must not change before.
  std::shared_ptr<std::vector<std::byte>> staged;
  const void* pinnedSource = nullptr;
  if (kind == cudaMemcpyHostToDevice) {
    const auto* first = static_cast<const std::byte*>(source);
    staged = std::make_shared<std::vector<std::byte>>(first, first + (height - 1) * sourcePitch + width);
    if (isPinned(source)) pinnedSource = source;
    source = staged->data();
  }
  const auto copy = [=] {
    const sim::DeviceAccess access;
    if (pinnedSource && std::memcmp(pinnedSource, source, staged->size()) != 0)
      throw sim::Failure("page-locked memory was written to before it was copied");
    for (size_t row = 0; row < height; ++row)
      std::memcpy(static_cast<std::byte*>(destination) + row * destinationPitch,
                  static_cast<const std::byte*>(source) + row * sourcePitch, width);
  };
  enqueue(stream, copy);
  // A copy to pageable memory is synchronous.
  if (kind == cudaMemcpyDeviceToHost && !isPinned(destination)) return cudaStreamSynchronize(stream);
  return cudaSuccess;
}

cudaError_t cudaMemsetAsync(void* memory, int value, size_t bytes, cudaStream_t stream) {
  const sim::Inside inside;
  enqueue(stream, [=] {
    const sim::DeviceAccess access;
    std::memset(memory, value, bytes);
  });
  return cudaSuccess;
}

namespace sim {

thread_local int Inside::depth = 0;

int64_t graphLaunches() { return graphLaunchCount; }

void watchLaunches(std::function<void(const Launch&, const void* kernel)> watch) {
  watchLaunch = std::move(watch);
}

cudaError_t launch(const cudaLaunchConfig_t& config, const void* kernel, std::function<void()> body) {
  const auto found = sharedLimits.find(kernel);
  const size_t limit = found == sharedLimits.end() ? defaultSharedBytes : found->second;
  const dim3 grid = config.gridDim, block = config.blockDim;
  const size_t threads = size_t{block.x} * block.y * block.z;
  if (config.dynamicSmemBytes > limit || threads == 0 || threads > 1024 || grid.x == 0 || grid.y == 0 ||
      grid.z == 0 || grid.x > 0x7fffffffu || grid.y > 65535 || grid.z > 65535)
    return cudaErrorInvalidValue;
  Launch launch{{grid.x, grid.y, grid.z}, {block.x, block.y, block.z}, config.dynamicSmemBytes};
  for (unsigned i = 0; i < config.numAttrs; ++i) {
    const auto& [id, value] = config.attrs[i];
    if (id == cudaLaunchAttributeProgrammaticStreamSerialization)
      launch.early = value.programmaticStreamSerializationAllowed != 0;
    if (id == cudaLaunchAttributeClusterDimension)
      launch.cluster = {value.clusterDim.x, value.clusterDim.y, value.clusterDim.z};
  }
  const Index3& cluster = launch.cluster;
  if (cluster.x * cluster.y * cluster.z > largestCluster || grid.x % cluster.x != 0 ||
      grid.y % cluster.y != 0 || grid.z % cluster.z != 0)
    return cudaErrorInvalidValue;
  if (watchLaunch) {
    watchLaunch(launch, kernel);
    return cudaSuccess;
  }
  enqueue(config.stream, [launch, body = std::move(body)] { run(launch, body); });
  return cudaSuccess;
}

cudaError_t allowSharedBytes(const void* kernel, size_t bytes) {
  if (bytes > largestSharedBytes) return cudaErrorInvalidValue;
  sharedLimits[kernel] = bytes;
  return cudaSuccess;
}

}  // namespace sim
