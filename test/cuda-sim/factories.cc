// The tests of test/native run on the simulated GPU here, with another order of threads for every backend.
#include "backend/cuda/cuda_backend.h"
#include "backends.h"
#include "simulator.h"

namespace rnd1::test {

void forEachFactory(const std::function<void(const BackendFactory&)>& body) {
  for (const DType dtype : allDTypes) {
    const Scope scope(std::string("simulated GPU ") + dtypeName(dtype));
    body([&](int threads) {
      sim::setSeed(static_cast<uint64_t>(threads));
      return std::make_unique<cuda::CudaBackend>(dtype, 0);
    });
  }
}

}  // namespace rnd1::test
