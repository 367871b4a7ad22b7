#include <napi.h>

#include "napi/cache.h"
#include "napi/environment.h"
#include "napi/functions.h"
#include "napi/results.h"
#include "napi/session.h"
#include "napi/trainer.h"

/** Exports the API of types/native.d.ts, once per environment. */
static Napi::Object initialize(Napi::Env env, Napi::Object exports) {
  using namespace rnd1::napi;
  auto* environment = new Environment(env);
  env.SetInstanceData(environment);  // freed with the environment
  environment->sessionClass = Napi::Persistent(JsSession::define(env));
  defineOwn(exports, "Session", environment->sessionClass.Value());
  environment->cacheClass = Napi::Persistent(JsKeyValueCache::define(env));
  defineOwn(exports, "KeyValueCache", environment->cacheClass.Value());
  environment->trainerClass = Napi::Persistent(JsTrainer::define(env));
  defineOwn(exports, "Trainer", environment->trainerClass.Value());
  defineOwn(exports, "AbortFlag", JsAbortFlag::define(env));
  defineOwn(exports, "scoreAndUnmask", Napi::Function::New<scoreAndUnmask>(env, "scoreAndUnmask"));
  defineOwn(exports, "fillShard", Napi::Function::New<fillShard>(env, "fillShard"));
  defineOwn(exports, "measurePeaks", Napi::Function::New<measurePeaks>(env, "measurePeaks"));
  defineOwn(exports, "system", Napi::Function::New<system>(env, "system"));
  defineOwn(exports, "philox", Napi::Function::New<philox>(env, "philox"));
  return exports;
}

NODE_API_MODULE(rnd1, initialize)
