#pragma once

#include <cstdint>
#include <cstdlib>
#include <memory>

#include "core/sizes.h"

namespace rnd1::cpu {

/** 64-byte aligned memory; throws out_of_memory. */
void* allocateAligned(size_t bytes);

/** Scratch memory that grows and never shrinks. Growing discards its contents. */
template <typename T>
class Buffer {
 public:
  void reserve(int64_t count) {
    if (count <= capacity_) return;
    const auto bytes = static_cast<size_t>(sizeProduct(count, sizeof(T)));
    memory_.reset(static_cast<T*>(allocateAligned(bytes)));
    capacity_ = count;
  }
  T* data() { return memory_.get(); }

 private:
  struct Free {
    void operator()(T* memory) const { std::free(memory); }
  };
  std::unique_ptr<T, Free> memory_;
  int64_t capacity_ = 0;
};

}  // namespace rnd1::cpu
