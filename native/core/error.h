#pragma once

#include <stdexcept>
#include <string>

namespace rnd1 {

/** Kind of failure: the `code` of the JavaScript error (lib/support/errors.ts). */
enum class ErrorCode {
  invalidCheckpoint,
  unsupportedModel,
  outOfMemory,
  cudaUnavailable,
  cudaError,
  disposed,
  io,
  aborted,          // internal: TypeScript rejects with the signal's reason
  invalidArgument,  // RangeError in JavaScript
};

constexpr const char* errorCodeName(ErrorCode code) {
  switch (code) {
    case ErrorCode::invalidCheckpoint:
      return "invalid_checkpoint";
    case ErrorCode::unsupportedModel:
      return "unsupported_model";
    case ErrorCode::outOfMemory:
      return "out_of_memory";
    case ErrorCode::cudaUnavailable:
      return "cuda_unavailable";
    case ErrorCode::cudaError:
      return "cuda_error";
    case ErrorCode::disposed:
      return "disposed";
    case ErrorCode::io:
      return "io";
    case ErrorCode::aborted:
      return "aborted";
    case ErrorCode::invalidArgument:
      return "invalid_argument";
  }
  return "invalid_argument";
}

/** The only exception type that native code throws; native/napi converts it to a JavaScript error. */
class Error : public std::runtime_error {
 public:
  Error(ErrorCode code, const std::string& message) : std::runtime_error(message), code_(code) {}
  ErrorCode code() const noexcept { return code_; }

 private:
  ErrorCode code_;
};

}  // namespace rnd1
