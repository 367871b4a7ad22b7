#include <napi.h>

#include "napi/environment.h"
#include "napi/functions.h"
#include "napi/session.h"

/** Exports what types/native.d.ts promises, once per environment. */
static Napi::Object initialize(Napi::Env env, Napi::Object exports) {
  using namespace rnd1::napi;
  auto* environment = new Environment(env);
  env.SetInstanceData(environment);  // freed with the environment
  environment->sessionClass = Napi::Persistent(JsSession::define(env));
  exports.Set("Session", environment->sessionClass.Value());
  exports.Set("AbortFlag", JsAbortFlag::define(env));
  exports.Set("scoreAndUnmask", Napi::Function::New<scoreAndUnmask>(env, "scoreAndUnmask"));
  exports.Set("fillShard", Napi::Function::New<fillShard>(env, "fillShard"));
  exports.Set("system", Napi::Function::New<system>(env, "system"));
  exports.Set("philox", Napi::Function::New<philox>(env, "philox"));
  return exports;
}

NODE_API_MODULE(rnd1, initialize)
