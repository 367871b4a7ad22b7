#include "backend/cuda/memory.h"

#include <algorithm>
#include <cstring>
#include <string>
#include <thread>

#include "backend/cuda/quantized_layout.h"

namespace rnd1::cuda {
namespace {

/** Bytes per copy of a thread, and minimum bytes for several threads. */
constexpr int64_t pieceBytes = int64_t{256} << 10, sharedBytes = int64_t{2} << 20;

std::string megabytes(size_t bytes) { return std::to_string(bytes / 1'000'000) + " MB"; }

constexpr int64_t roundUp(int64_t bytes, int64_t multiple) {
  return (bytes + multiple - 1) / multiple * multiple;
}

int64_t rowBytes(const Weight& mapped) {
  return mapped.columns * static_cast<int64_t>(dtypeSize(mapped.dtype));
}

/** Rows [first, first + count) of a mapped weight, padded with zeros, which matmuls may read. */
void writeRows(const Weight& mapped, int64_t first, int64_t count, int64_t strideBytes, std::byte* target) {
  const auto bytes = static_cast<size_t>(rowBytes(mapped));
  for (int64_t row = first; row < first + count; ++row, target += strideBytes) {
    std::memcpy(target, mapped.data + row * mapped.strideBytes, bytes);
    std::memset(target + bytes, 0, static_cast<size_t>(strideBytes) - bytes);
  }
}

}  // namespace

DeviceMemory allocateDevice(size_t bytes) {
  void* memory = nullptr;
  const cudaError_t status = cudaMalloc(&memory, std::max<size_t>(bytes, 1));
  if (status == cudaErrorMemoryAllocation) {
    cudaGetLastError();
    size_t free = 0, total = 0;
    cudaMemGetInfo(&free, &total);
    throw Error(ErrorCode::outOfMemory, "the GPU has " + megabytes(free) + " free of " + megabytes(total) +
                                            ", " + megabytes(bytes) + " are needed");
  }
  check(status, "allocating memory of the GPU");
  return DeviceMemory(memory);
}

int loadingThreads() { return std::clamp(static_cast<int>(std::thread::hardware_concurrency()), 1, 8); }

WeightArena::~WeightArena() {
  for (const Staging& staging : staging_) {
    if (staging.copied) cudaEventDestroy(staging.copied);
    if (staging.memory) cudaFreeHost(staging.memory);
  }
}

void WeightArena::expect(int64_t bytes, int64_t tensors) {
  // Any row may need padding, but lengths that are no multiple of 8 are rare: those weights go to `others_`.
  const int64_t wanted = roundUp(bytes, tensorAlignment) + tensors * tensorAlignment;
  size_t free = 0, total = 0;
  check(cudaMemGetInfo(&free, &total), "asking for the GPU's free memory");
  if (static_cast<size_t>(wanted) > free)
    throw Error(ErrorCode::outOfMemory, "the weights take " + megabytes(static_cast<size_t>(wanted)) +
                                            ", the GPU has " + megabytes(free) + " free of " +
                                            megabytes(total));
  arena_ = allocateDevice(static_cast<size_t>(wanted));
  arenaBytes_ = wanted;
  arenaUsed_ = 0;
}

std::byte* WeightArena::take(int64_t bytes) {
  const int64_t rounded = roundUp(bytes, tensorAlignment);
  if (rounded <= arenaBytes_ - arenaUsed_) {
    std::byte* memory = static_cast<std::byte*>(arena_.get()) + arenaUsed_;
    arenaUsed_ += rounded;
    return memory;
  }
  others_.push_back(allocateDevice(static_cast<size_t>(bytes)));
  return static_cast<std::byte*>(others_.back().get());
}

std::byte* WeightArena::nextStaging() {
  current_ ^= 1;
  Staging& staging = staging_[current_];
  if (!staging.memory) {
    void* memory = nullptr;
    check(cudaMallocHost(&memory, stagingBytes), "allocating page-locked memory");
    staging.memory = static_cast<std::byte*>(memory);
    check(cudaEventCreateWithFlags(&staging.copied, cudaEventDisableTiming), "creating an event");
  }
  if (staging.busy) check(cudaEventSynchronize(staging.copied), "copying weights");
  staging.busy = false;
  return staging.memory;
}

void WeightArena::fill(std::byte* staging, const Weight& mapped, int64_t first, int64_t count,
                       int64_t unitBytes) {
  const auto write = [&](int64_t begin, int64_t end) {
    std::byte* const target = staging + begin * unitBytes;
    if (mapped.quantized()) {
      writeQuantizedTiles(mapped, computeDtype_, first + begin, end - begin, target);
    } else {
      writeRows(mapped, first + begin, end - begin, unitBytes, target);
    }
  };
  if (threads_ == 1 || count * unitBytes < sharedBytes) return write(0, count);
  if (!pool_) pool_.emplace(threads_);
  const int64_t piece = std::max<int64_t>(pieceBytes / unitBytes, 1);
  pool_->forEach((count + piece - 1) / piece,
                 [&](int64_t item, int) { write(item * piece, std::min((item + 1) * piece, count)); });
}

Weight WeightArena::place(const Weight& mapped) {
  Weight placed = mapped.quantized() ? quantizedInTiles(mapped) : mapped;
  if (!mapped.quantized()) placed.strideBytes = roundUp(rowBytes(mapped), rowAlignment);
  std::byte* destination = take(placed.bytes());
  placed.data = destination;
  // Copies as many rows, or panels of a quantized weight, at a time as fit.
  const int64_t unitRows = mapped.quantized() ? panelRows : 1;
  const int64_t unitBytes = placed.strideBytes * unitRows, units = blocksFor(mapped.rows, unitRows);
  const int64_t unitsAtOnce = static_cast<int64_t>(stagingBytes) / std::max<int64_t>(unitBytes, 1);
  if (unitsAtOnce == 0) throw Error(ErrorCode::unsupportedModel, "a row of a weight is too long");
  for (int64_t unit = 0; unit < units; unit += unitsAtOnce) {
    const int64_t count = std::min(unitsAtOnce, units - unit);
    std::byte* staging = nextStaging();
    fill(staging, mapped, unit, count, unitBytes);
    check(cudaMemcpyAsync(destination + unit * unitBytes, staging, static_cast<size_t>(count * unitBytes),
                          cudaMemcpyHostToDevice, stream_),
          "copying weights");
    check(cudaEventRecord(staging_[current_].copied, stream_), "copying weights");
    staging_[current_].busy = true;
  }
  return placed;
}

}  // namespace rnd1::cuda
