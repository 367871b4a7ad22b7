#pragma once

#include <napi.h>

#include <memory>
#include <string>
#include <vector>

#include "model/graph.h"
#include "napi/runner.h"

namespace rnd1::napi {

/** `AbortFlag` of types/native.d.ts. */
class JsAbortFlag final : public Napi::ObjectWrap<JsAbortFlag> {
 public:
  static Napi::Function define(Napi::Env env);
  explicit JsAbortFlag(const Napi::CallbackInfo& info);

  /** The native flag of an argument; null for null. Throws TypeError for anything else. */
  static std::shared_ptr<AbortFlag> of(const Napi::Value& value);

 private:
  Napi::Value abort(const Napi::CallbackInfo& info);
  static Napi::Value aborted(const Napi::CallbackInfo& info);

  std::shared_ptr<AbortFlag> flag_ = std::make_shared<AbortFlag>();
};

/**
 * A model and the thread that it runs on. Pending work shares ownership, so the last owner releases it on the
 * JavaScript thread, when the runner is idle.
 */
struct SessionCore {
  std::unique_ptr<Model> model;                        // after loading, used on the runner's thread only
  std::vector<std::unique_ptr<KeyValueCache>> caches;  // likewise
  // Copies for the JavaScript thread.
  Architecture architecture;
  std::string device, instructionSet;
  int threads = 0;
  DType dtype = DType::f32;
  int64_t weightBytes = 0;
  int64_t cacheBytes = 0;  // of caches that are not disposed, or still used by a step
  std::shared_ptr<Runner> runner = std::make_shared<Runner>();  // ends before the model does

  /** Throws `disposed`: reading the arguments of a call can run code that disposes the model. */
  Model& usable() const;
};

/** `Session` of types/native.d.ts. */
class JsSession final : public Napi::ObjectWrap<JsSession> {
 public:
  static Napi::Function define(Napi::Env env);
  explicit JsSession(const Napi::CallbackInfo& info);

 private:
  static Napi::Value load(const Napi::CallbackInfo& info);
  static Napi::Value info(const Napi::CallbackInfo& info);
  static Napi::Value cacheBytes(const Napi::CallbackInfo& info);
  Napi::Value createCache(const Napi::CallbackInfo& info);
  Napi::Value forward(const Napi::CallbackInfo& info);
  Napi::Value step(const Napi::CallbackInfo& info);
  Napi::Value dispose(const Napi::CallbackInfo& info);
  const std::shared_ptr<SessionCore>& open() const;

  std::shared_ptr<SessionCore> core_;
  bool disposed_ = false;
};

}  // namespace rnd1::napi
