#pragma once

#include "backend/backend.h"

namespace rnd1 {

/** Kind of memory: Backend::allocate or Backend::allocateHost. */
enum class Side { backend, host };

/** Owns memory. */
template <typename T, Side side = Side::backend>
class Buffer {
 public:
  explicit Buffer(Backend& backend) : backend_(backend) {}
  ~Buffer() { release(); }
  Buffer(const Buffer&) = delete;
  Buffer& operator=(const Buffer&) = delete;

  /** Reserves memory for `count` elements; growing discards the contents. */
  void reserve(int64_t count) {
    if (count <= capacity_) return;
    release();
    data_ = nullptr;
    capacity_ = 0;
    const auto bytes = static_cast<size_t>(sizeProduct(count, sizeof(T)));
    data_ = static_cast<T*>(side == Side::host ? backend_.allocateHost(bytes) : backend_.allocate(bytes));
    capacity_ = count;
  }

  T* data() const { return data_; }

 private:
  void release() { side == Side::host ? backend_.releaseHost(data_) : backend_.release(data_); }

  Backend& backend_;
  T* data_ = nullptr;
  int64_t capacity_ = 0;
};

/** A buffer's beginning as a tensor with the rows of another one, valid where they are. */
inline Tensor tensorIn(const Buffer<float>& buffer, const Tensor& like, int64_t columns) {
  return Tensor(buffer.data(), like.rows, columns).limitedTo(like.validRows);
}

/** The same for activations that a matmul reads, which the ops round: 16-bit if the backend wants them so. */
inline Tensor activationsIn(const Backend& backend, const Buffer<float>& buffer, const Tensor& like,
                            int64_t columns) {
  Tensor tensor = tensorIn(buffer, like, columns);
  if (columns % 8 == 0) tensor.dtype = backend.activationDtype();
  return tensor;
}

}  // namespace rnd1
