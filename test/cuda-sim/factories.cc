// Runs the tests of test/native on the simulated GPU, with a different thread order for every backend.
#include <cstdlib>
#include <sstream>

#include "allocations.h"
#include "backend/cuda/cuda_backend.h"
#include "backends.h"
#include "simulator.h"

namespace rnd1::test {
namespace {

/**
 * RND1_SIM_FAULT: `wrong=PART,hang=PART` plants faults in the kernels of tests whose names contain a part
 * (wrong tensor core products, barriers that never open), to test the scripts that run these tests on GPUs.
 */
sim::Fault faultOf(const std::string& test) {
  const char* const given = std::getenv("RND1_SIM_FAULT");
  std::istringstream faults(given ? given : "");
  for (std::string fault; std::getline(faults, fault, ',');) {
    const bool wrong = fault.starts_with("wrong="), hang = fault.starts_with("hang=");
    if (!wrong && !hang)
      throw sim::Failure("RND1_SIM_FAULT: '" + fault + "' is neither wrong=PART nor hang=PART");
    if (test.find(fault.substr(fault.find('=') + 1)) == std::string::npos) continue;
    return hang ? sim::Fault::hang : sim::Fault::wrong;
  }
  return sim::Fault::none;
}

}  // namespace

void forEachFactory(const std::function<void(const BackendFactory&)>& body) {
  if (!tries("cuda:0")) return;
  sim::plant(faultOf(runningTest()));
  for (const DType dtype : allDTypes) {
    const Scope scope(std::string("simulated GPU ") + dtypeName(dtype));
    body([&](int threads) {
      sim::setSeed(static_cast<uint64_t>(threads));
      return std::make_unique<cuda::CudaBackend>(dtype, 0);
    });
  }
}

std::string deviceUnavailable(const std::string& device) {
  return device == "cuda:0" ? "" : "there is no " + device + ", only cuda:0, which is simulated";
}

// Launches and copies allocate in the simulator, unlike on a GPU.
bool allocatesForItself() { return !sim::Inside::here(); }

}  // namespace rnd1::test
