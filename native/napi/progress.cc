#include "napi/progress.h"

#include <memory>
#include <utility>

#include "napi/convert.h"
#include "napi/environment.h"

namespace rnd1::napi {

namespace {

class ProgressMessage final : public Message {
 public:
  ProgressMessage(std::shared_ptr<Napi::FunctionReference> callback, const LoadProgress& progress)
      : callback_(std::move(callback)), progress_(progress) {}

  void deliver(Napi::Env env) override {
    try {
      const auto number = [&](int64_t value) { return Napi::Number::New(env, static_cast<double>(value)); };
      callback_->Call({number(progress_.bytes), number(progress_.totalBytes), number(progress_.tensors),
                       number(progress_.totalTensors)});
    } catch (const Napi::Error&) {
      // lib/ wraps the user's callback and keeps its exceptions.
    }
  }

 private:
  std::shared_ptr<Napi::FunctionReference> callback_;
  const LoadProgress progress_;
};

}  // namespace

std::function<void(const LoadProgress&)> progressReporter(const Napi::Value& onProgress) {
  if (onProgress.IsNull() || onProgress.IsUndefined()) return [](const LoadProgress&) {};
  if (!onProgress.IsFunction()) throw wrongType(onProgress.Env(), "onProgress", "a function or null");
  Environment& environment = Environment::of(onProgress.Env());
  const auto callback =
      std::make_shared<Napi::FunctionReference>(Napi::Persistent(onProgress.As<Napi::Function>()));
  return [&environment, callback](const LoadProgress& progress) {
    environment.post(std::make_unique<ProgressMessage>(callback, progress));
  };
}

}  // namespace rnd1::napi
