#pragma once

#include <napi.h>

#include <exception>
#include <memory>
#include <new>
#include <stdexcept>
#include <utility>

#include "core/error.h"
#include "napi/environment.h"
#include "napi/results.h"

namespace rnd1::napi {

inline Napi::Value codedError(Napi::Env env, const char* message, ErrorCode code) {
  const Napi::Value error = Napi::Error::New(env, message).Value();
  defineOwn(error.As<Napi::Object>(), "code", errorCodeName(code));
  return error;
}

/** Converts a native error to JavaScript: same message, `code`; a RangeError for invalid arguments. */
inline Napi::Value toJavaScript(Napi::Env env, const std::exception_ptr& error) {
  try {
    std::rethrow_exception(error);
  } catch (const Error& e) {
    if (e.code() == ErrorCode::invalidArgument) return Napi::RangeError::New(env, e.what()).Value();
    return codedError(env, e.what(), e.code());
  } catch (const Napi::Error& e) {
    return e.Value();
  } catch (const std::bad_alloc&) {
    return codedError(env, "out of memory", ErrorCode::outOfMemory);
  } catch (const std::length_error&) {
    // Thrown by standard containers: larger than any memory.
    return codedError(env, "out of memory", ErrorCode::outOfMemory);
  } catch (const std::exception& e) {
    return Napi::Error::New(env, e.what()).Value();
  }
}

/** Runs the body of an export and converts native errors to JavaScript ones. */
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
 * The implementation of all asynchronous exports. `work(AbortFlag&)` runs on the runner's thread,
 * `finish(Napi::Env)` then on the JavaScript thread, where it returns the value; captures of both are freed
 * on the JavaScript thread. Posting the result allocates nothing, so it cannot fail when memory is short.
 */
template <typename Work, typename Finish>
class PromiseJob : public Job, public Message {
 public:
  PromiseJob(Napi::Env env, std::shared_ptr<AbortFlag> abort, Work work, Finish finish)
      : environment_(Environment::of(env)),
        deferred_(Napi::Promise::Deferred::New(env)),
        abort_(abort ? std::move(abort) : std::make_shared<AbortFlag>()),
        work_(std::move(work)),
        finish_(std::move(finish)) {}

  Napi::Promise promise() const { return deferred_.Promise(); }
  std::shared_ptr<AbortFlag> abortFlag() const noexcept override { return abort_; }

  void run(std::unique_ptr<Job> self) noexcept override {
    try {
      abort_->throwIfAborted();
      work_(*abort_);
    } catch (...) {
      error_ = std::current_exception();
    }
    post(std::move(self));
  }

  void cancel(std::unique_ptr<Job> self) noexcept override {
    try {
      throw Error(ErrorCode::disposed, "the model was disposed");
    } catch (...) {
      // Or bad_alloc, if the message could not be allocated.
      error_ = std::current_exception();
    }
    post(std::move(self));
  }

  void deliver(Napi::Env env) override {
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
  }

 protected:
  void post(std::unique_ptr<Job> self) noexcept {
    self.release();
    environment_.post(std::unique_ptr<Message>(this));
  }

 private:
  Environment& environment_;
  Napi::Promise::Deferred deferred_;
  std::shared_ptr<AbortFlag> abort_;
  std::exception_ptr error_;
  Work work_;
  Finish finish_;
};

/** The same, for work that cannot be aborted; after the runner was stopped, it resolves without running. */
template <typename Work, typename Finish>
class LastJob final : public PromiseJob<Work, Finish> {
 public:
  using PromiseJob<Work, Finish>::PromiseJob;
  std::shared_ptr<AbortFlag> abortFlag() const noexcept override { return nullptr; }
  void cancel(std::unique_ptr<Job> self) noexcept override { this->post(std::move(self)); }
};

template <template <typename, typename> typename Kind = PromiseJob, typename Work, typename Finish>
Napi::Promise promise(Napi::Env env, Runner& runner, std::shared_ptr<AbortFlag> abort, Work work,
                      Finish finish) {
  auto job = std::make_unique<Kind<Work, Finish>>(env, std::move(abort), std::move(work), std::move(finish));
  const Napi::Promise result = job->promise();
  runner.post(std::move(job));
  // Delivery is on this thread, hence later, or never if `post` threw.
  Environment::of(env).hold(env);
  return result;
}

}  // namespace rnd1::napi
