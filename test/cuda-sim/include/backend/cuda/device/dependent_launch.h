#pragma once

// The simulated twin of native/backend/cuda/device/dependent_launch.h.
#include <cuda_runtime.h>

namespace rnd1::cuda {

inline void awaitPredecessors() { sim::awaitPredecessors(); }

}  // namespace rnd1::cuda
