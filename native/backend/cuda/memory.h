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

/** Throws Error out_of_memory naming bytes wanted and free. */
DeviceMemory allocateDevice(size_t bytes);

/** Device memory that never shrinks. Growing discards its contents. */
template <typename T>
class Scratch {
 public:
  /** Returns true if it has grown, and so moved. */
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

/** Number of threads for reading mapped files and filling page-locked memory. */
int loadingThreads();

/** Resident weights, in one allocation for the expected total. Weights are aligned to 256 bytes, their rows
 * padded to a multiple of 16; quantized ones are in tiles (quantized_layout.h). */
class WeightArena {
 public:
  /** For ops of a compute dtype. `threads`: used to copy large weights to page-locked memory. */
  explicit WeightArena(cudaStream_t stream, DType computeDtype, int threads = loadingThreads())
      : stream_(stream), computeDtype_(computeDtype), threads_(threads) {}
  ~WeightArena();
  WeightArena(const WeightArena&) = delete;
  WeightArena& operator=(const WeightArena&) = delete;

  /** Allocates memory for that many bytes in that many tensors. Throws Error out_of_memory naming bytes
   * wanted and free. */
  void expect(int64_t bytes, int64_t tensors);

  /** Copies a mapped weight through page-locked buffers; its bytes have been read on return. */
  Weight place(const Weight& mapped);

 private:
  static constexpr size_t stagingBytes = size_t{16} << 20;
  static constexpr int64_t rowAlignment = 16;
  static constexpr int64_t tensorAlignment = 256;  // two 128-byte lines; the alignment of cudaMalloc

  struct Staging {
    std::byte* memory = nullptr;
    cudaEvent_t copied = nullptr;
    bool busy = false;
  };

  std::byte* take(int64_t bytes);
  std::byte* nextStaging();
  /** Writes rows of a mapped weight, or panels of a quantized one, as they will be on the GPU. */
  void fill(std::byte* staging, const Weight& mapped, int64_t first, int64_t count, int64_t unitBytes);

  cudaStream_t stream_;
  const DType computeDtype_;
  const int threads_;
  std::optional<ThreadPool> pool_;  // created for the first large weight, then kept
  DeviceMemory arena_;
  int64_t arenaBytes_ = 0, arenaUsed_ = 0;
  std::vector<DeviceMemory> others_;  // weights beyond the expected total
  Staging staging_[2];
  int current_ = 0;
};

}  // namespace rnd1::cuda
