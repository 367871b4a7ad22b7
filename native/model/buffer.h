#pragma once

#include "backend/backend.h"

namespace rnd1 {

/** Whose memory: the backend's, or that of the host which copies from and to the backend are fastest with. */
enum class Side { backend, host };

/** Memory with one owner. */
template <typename T, Side side = Side::backend>
class Buffer {
 public:
  explicit Buffer(Backend& backend) : backend_(backend) {}
  ~Buffer() { release(); }
  Buffer(const Buffer&) = delete;
  Buffer& operator=(const Buffer&) = delete;

  /** Makes room for `count` elements; the contents are lost when it grows. */
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

}  // namespace rnd1
