#pragma once

#include <napi.h>

#include <exception>
#include <memory>
#include <new>
#include <string>
#include <utility>

#include "core/error.h"
#include "napi/environment.h"

namespace rnd1::napi {

/** The JavaScript error for a native one: same message, `code`; a RangeError for invalid arguments. */
inline Napi::Value toJavaScript(Napi::Env env, const std::exception_ptr& error) {
  try {
    std::rethrow_exception(error);
  } catch (const Error& e) {
    if (e.code() == ErrorCode::invalidArgument) return Napi::RangeError::New(env, e.what()).Value();
    auto object = Napi::Error::New(env, e.what());
    object.Set("code", errorCodeName(e.code()));
    return object.Value();
  } catch (const Napi::Error& e) {
    return e.Value();
  } catch (const std::bad_alloc&) {
    auto object = Napi::Error::New(env, "out of memory");
    object.Set("code", errorCodeName(ErrorCode::outOfMemory));
    return object.Value();
  } catch (const std::exception& e) {
    return Napi::Error::New(env, e.what()).Value();
  }
}

/** Runs the body of an export; native errors leave it as JavaScript ones. */
template <typename Body>
auto guarded(Napi::Env env, Body body) {
  try {
    return body();
  } catch (const Napi::Error&) {
    throw;
  } catch (...) {
    throw Napi::Error(env, toJavaScript(env, std::current_exception()));
  }
}

/**
 * The one shape of an asynchronous export. `work(AbortFlag&)` runs on the runner's thread,
 * `finish(Napi::Env)` back on the JavaScript thread and gives the value; whatever both capture is freed on
 * the JavaScript thread.
 */
template <typename Work, typename Finish>
class PromiseJob final : public Job {
 public:
  PromiseJob(Napi::Env env, std::shared_ptr<AbortFlag> abort, Work work, Finish finish)
      : environment_(Environment::of(env)),
        deferred_(Napi::Promise::Deferred::New(env)),
        abort_(abort ? std::move(abort) : std::make_shared<AbortFlag>()),
        work_(std::move(work)),
        finish_(std::move(finish)) {
    environment_.hold(env);
  }

  Napi::Promise promise() const { return deferred_.Promise(); }
  std::shared_ptr<AbortFlag> abortFlag() const noexcept override { return abort_; }

  void run(std::unique_ptr<Job> self) noexcept override {
    try {
      abort_->throwIfAborted();
      work_(*abort_);
    } catch (...) {
      error_ = std::current_exception();
    }
    settle(std::move(self));
  }

  void cancel(std::unique_ptr<Job> self) noexcept override {
    error_ = std::make_exception_ptr(Error(ErrorCode::disposed, "the model was disposed"));
    settle(std::move(self));
  }

 private:
  void settle(std::unique_ptr<Job> self) {
    // std::function wants copies; the job has one owner all the same.
    environment_.post([job = std::shared_ptr<Job>(std::move(self)), this](Napi::Env env) {
      environment_.unhold(env);
      if (!error_) {
        try {
          deferred_.Resolve(finish_(env));
          return;
        } catch (...) {
          error_ = std::current_exception();
        }
      }
      deferred_.Reject(toJavaScript(env, error_));
    });
  }

  Environment& environment_;
  Napi::Promise::Deferred deferred_;
  std::shared_ptr<AbortFlag> abort_;
  std::exception_ptr error_;
  Work work_;
  Finish finish_;
};

template <typename Work, typename Finish>
Napi::Promise promise(Napi::Env env, Runner& runner, std::shared_ptr<AbortFlag> abort, Work work,
                      Finish finish) {
  auto job =
      std::make_unique<PromiseJob<Work, Finish>>(env, std::move(abort), std::move(work), std::move(finish));
  const Napi::Promise result = job->promise();
  runner.post(std::move(job));
  return result;
}

}  // namespace rnd1::napi
