#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "backend/backend.h"

namespace rnd1::bench {

/** Backend memory with given contents. */
template <typename T>
class DeviceArray {
 public:
  DeviceArray(Backend& backend, int64_t count)
      : backend_(&backend),
        data_(static_cast<T*>(backend.allocate(static_cast<size_t>(count) * sizeof(T)))) {}
  DeviceArray(Backend& backend, std::span<const T> values)
      : DeviceArray(backend, static_cast<int64_t>(values.size())) {
    backend.upload(data_, values.data(), values.size_bytes());
    backend.synchronize();
  }
  ~DeviceArray() { backend_->release(data_); }
  DeviceArray(const DeviceArray&) = delete;
  DeviceArray& operator=(const DeviceArray&) = delete;
  T* data() const { return data_; }

 private:
  Backend* backend_;
  T* data_;
};

/** Uniform in [−amplitude, amplitude), rounded to `dtype`; deterministic. */
std::vector<float> randomValues(int64_t count, float amplitude, DType dtype);

/** Values as a checkpoint of `dtype` (f32, f16 or bf16) stores them. */
std::vector<std::byte> bytesOf(const std::vector<float>& values, DType dtype);

/** Random activations, rounded to the compute dtype like the outputs of ops. */
class DeviceMatrix {
 public:
  DeviceMatrix(Backend& backend, int64_t rows, int64_t columns, float amplitude = 1)
      : rows_(rows),
        columns_(columns),
        array_(backend, randomValues(rows * columns, amplitude, backend.dtype())) {}
  Tensor tensor() const { return {array_.data(), rows_, columns_}; }
  operator Tensor() const { return tensor(); }

 private:
  int64_t rows_, columns_;
  DeviceArray<float> array_;
};

/** Random weights, placed in the backend. */
class Weights {
 public:
  Weights(Backend& backend, DType dtype) : backend_(backend), dtype_(dtype) {}

  Weight add(int64_t rows, int64_t columns);

  /** Bytes of one weight, with its scales. */
  static int64_t bytes(DType dtype, int64_t rows, int64_t columns);

 private:
  Weight addQuantized(int64_t rows, int64_t columns);
  std::byte* hold(int64_t bytes);

  struct Free {
    void operator()(void* memory) const noexcept;
  };

  Backend& backend_;
  DType dtype_;
  std::vector<std::unique_ptr<std::byte, Free>> host_;  // in place of mapped files
};

/** Number of weight copies to use in turn, so that no cache holds them between calls. */
int64_t coldCopies(int64_t bytes);

}  // namespace rnd1::bench
