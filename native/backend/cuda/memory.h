#pragma once

#include <cuda_runtime.h>

#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "backend/cuda/launch.h"
#include "core/parallel.h"
#include "core/tensor.h"

namespace rnd1::cuda {

struct DeviceDelete {
  void operator()(void* memory) const noexcept { cudaFree(memory); }
};
using DeviceMemory = std::unique_ptr<void, DeviceDelete>;

/** Throws Error out_of_memory that says how much was wanted and how much is free. */
DeviceMemory allocateDevice(size_t bytes);

/** Memory of the device that only grows. Contents are lost when it does. */
template <typename T>
class Scratch {
 public:
  /** Whether it has grown: then it lies elsewhere. */
  bool reserve(int64_t count) {
    if (count <= capacity_) return false;
    memory_.reset();
    capacity_ = 0;
    memory_ = allocateDevice(static_cast<size_t>(count) * sizeof(T));
    capacity_ = count;
    return true;
  }
  T* data() const { return static_cast<T*>(memory_.get()); }
  int64_t capacity() const { return capacity_; }

 private:
  DeviceMemory memory_;
  int64_t capacity_ = 0;
};

/** As many threads as reading mapped files and filling page-locked memory can use. */
int loadingThreads();

/** Resident weights: one allocation for all that is expected. A weight begins at a multiple of 256 bytes, its
 * rows are padded to 16. */
class WeightArena {
 public:
  /** `threads` copy a large weight to page-locked memory. */
  explicit WeightArena(cudaStream_t stream, int threads = loadingThreads())
      : stream_(stream), threads_(threads) {}
  ~WeightArena();
  WeightArena(const WeightArena&) = delete;
  WeightArena& operator=(const WeightArena&) = delete;

  /** Room for that many bytes in that many tensors. Throws Error out_of_memory naming bytes wanted and free.
   */
  void expect(int64_t bytes, int64_t tensors);

  /** Copies a mapped weight through page-locked buffers; the mapped bytes have been read when it returns. */
  Weight place(const Weight& mapped);

 private:
  static constexpr size_t stagingBytes = size_t{16} << 20;
  static constexpr int64_t rowAlignment = 16;
  static constexpr int64_t tensorAlignment = 256;  // whole lines of 128 bytes; what cudaMalloc gives

  struct Staging {
    std::byte* memory = nullptr;
    cudaEvent_t copied = nullptr;
    bool busy = false;
  };

  std::byte* take(int64_t bytes);
  std::byte* nextStaging();
  /** Rows of a mapped weight, padded with zeros, which products may read. */
  void fill(std::byte* staging, const Weight& mapped, int64_t firstRow, int64_t rows, int64_t strideBytes);

  cudaStream_t stream_;
  const int threads_;
  std::optional<ThreadPool> pool_;  // from the first large weight on; kept, since idle threads only sleep
  DeviceMemory arena_;
  int64_t arenaBytes_ = 0, arenaUsed_ = 0;
  std::vector<DeviceMemory> others_;  // what was not expected
  Staging staging_[2];
  int current_ = 0;
};

}  // namespace rnd1::cuda
