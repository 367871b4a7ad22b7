// Replaces the CUDA backend in builds without it: the same functions, which report that.
#include "backend/registry.h"
#include "core/error.h"

namespace rnd1 {
namespace {
constexpr const char* reason = "this build of rnd1 has no CUDA backend";
}

CudaStatus cudaStatus() { return {{}, reason}; }

std::unique_ptr<Backend> makeCudaBackend(DType, int) { throw Error(ErrorCode::cudaUnavailable, reason); }

}  // namespace rnd1
