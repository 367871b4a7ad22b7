// What errors of the CUDA runtime become.
#include "backend/cuda/launch.h"
#include "harness.h"

namespace rnd1::test {
namespace {

/** An error that ends everything says so; one that does not promises nothing of the kind. */
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
