// Conversion of CUDA runtime errors.
#include "backend/cuda/launch.h"
#include "harness.h"

namespace rnd1::test {
namespace {

/** A fatal error says that it is fatal; others do not. */
void fatalErrors() {
  const auto message = [](cudaError_t status) {
    return expectThrows<Error>([&] { cuda::check(status, "running on the GPU"); }, "an error");
  };
  expect(message(cudaErrorIllegalAddress).find("this model is broken") != std::string::npos,
         "a fatal error does not say that the model is broken");
  expect(message(cudaErrorInvalidValue).find("broken") == std::string::npos, "an error that is not fatal");
  cuda::check(cudaSuccess, "nothing");
}

const Tests errorTests{{"errors: a broken device is called so", fatalErrors}};

}  // namespace
}  // namespace rnd1::test
