#pragma once

// The simulated twin of native/backend/cuda/device/shared.h.
#include <cuda_runtime.h>

namespace rnd1::cuda {

inline unsigned char* sharedMemory() { return reinterpret_cast<unsigned char*>(sim::builtins.shared); }

}  // namespace rnd1::cuda
