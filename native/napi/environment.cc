#include "napi/environment.h"

#include <utility>

namespace rnd1::napi {

Environment::Environment(Napi::Env env) {
  channel_ = Channel::New(env, "rnd1", 0, 1);
  channel_.Unref(env);
  // Hooks run in reverse order: the runners end while the channel is still open.
  env.AddCleanupHook([this] { shutDown(); });
}

void Environment::call(Napi::Env env, Napi::Function, std::nullptr_t*, Message* message) {
  const std::unique_ptr<Message> owned(message);
  if (env == nullptr) return;
  Napi::HandleScope scope(env);
  owned->deliver(env);
}

void Environment::post(std::unique_ptr<Message> message) {
  if (channel_.NonBlockingCall(message.get()) == napi_ok) message.release();
}

void Environment::hold(Napi::Env env) {
  if (pending_++ == 0) channel_.Ref(env);
}

void Environment::unhold(Napi::Env env) {
  if (--pending_ == 0) channel_.Unref(env);
}

void Environment::add(const std::shared_ptr<Runner>& runner) {
  std::erase_if(runners_, [](const auto& known) { return known.expired(); });
  runners_.push_back(runner);
}

const std::shared_ptr<Runner>& Environment::scoringRunner() {
  if (!scoringRunner_) {
    scoringRunner_ = std::make_shared<Runner>();
    add(scoringRunner_);
  }
  return scoringRunner_;
}

void Environment::shutDown() {
  for (const auto& known : std::exchange(runners_, {}))
    if (const auto runner = known.lock()) runner->stop();
  channel_.Release();
}

}  // namespace rnd1::napi
