#pragma once

// The simulated twin of native/backend/cuda/device/copy.h.
#include <cuda_runtime.h>

namespace rnd1::cuda {

inline void copyAsync16(void* shared, const void* global, int valid) {
  sim::copyAsync(shared, global, 16, static_cast<size_t>(valid));
}
inline void copyConstantAsync16(void* shared, const void* global, int valid) {
  sim::copyAsync(shared, global, 16, static_cast<size_t>(valid), true);
}
inline void commitCopies() { sim::commitCopies(); }
template <int pending>
void waitCopies() {
  sim::waitCopies(pending);
}

}  // namespace rnd1::cuda
