#include "napi/progress.h"

#include <memory>

#include "napi/convert.h"
#include "napi/environment.h"

namespace rnd1::napi {

std::function<void(const LoadProgress&)> progressReporter(const Napi::Value& onProgress) {
  if (onProgress.IsNull() || onProgress.IsUndefined()) return [](const LoadProgress&) {};
  if (!onProgress.IsFunction()) throw wrongType(onProgress.Env(), "onProgress", "a function or null");
  Environment& environment = Environment::of(onProgress.Env());
  const auto callback =
      std::make_shared<Napi::FunctionReference>(Napi::Persistent(onProgress.As<Napi::Function>()));
  return [&environment, callback](const LoadProgress& progress) {
    environment.post([callback, progress](Napi::Env env) {
      try {
        const auto number = [&](int64_t value) { return Napi::Number::New(env, static_cast<double>(value)); };
        callback->Call({number(progress.bytes), number(progress.totalBytes), number(progress.tensors),
                        number(progress.totalTensors)});
      } catch (const Napi::Error&) {
        // lib/ wraps the user's callback and keeps what it throws.
      }
    });
  };
}

}  // namespace rnd1::napi
