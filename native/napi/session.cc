#include "napi/session.h"

#include <utility>
#include <vector>

#include "backend/registry.h"
#include "napi/architecture.h"
#include "napi/cache.h"
#include "napi/convert.h"
#include "napi/manifest.h"
#include "napi/progress.h"
#include "napi/promise.h"
#include "napi/tags.h"

namespace rnd1::napi {
namespace {

constexpr napi_type_tag abortFlagTag{0x6b1f0c52d4a94e07, 0x9d6c3f2a81e5b470};
constexpr napi_type_tag sessionTag{0x2f8a7d1be3604c95, 0xb40e96d7c15f2a38};

Napi::Array requests(const Napi::CallbackInfo& info, const char* what) {
  const Napi::Array array = readArray(info[0], what);
  if (array.Length() == 0) throw Napi::RangeError::New(info.Env(), std::string(what) + " must not be empty");
  return array;
}

}  // namespace

Napi::Function JsAbortFlag::define(Napi::Env env) {
  const auto constructor = DefineClass(env, "AbortFlag", {InstanceMethod<&JsAbortFlag::abort>("abort")});
  defineAccessor<&JsAbortFlag::aborted>(constructor, "aborted");
  return constructor;
}

JsAbortFlag::JsAbortFlag(const Napi::CallbackInfo& info) : ObjectWrap(info) {
  info.This().As<Napi::Object>().TypeTag(&abortFlagTag);
}

Napi::Value JsAbortFlag::abort(const Napi::CallbackInfo& info) {
  flag_->abort();
  return info.Env().Undefined();
}

Napi::Value JsAbortFlag::aborted(const Napi::CallbackInfo& info) {
  if (!isTagged(info.This(), abortFlagTag)) throw wrongType(info.Env(), "this", "an AbortFlag");
  return Napi::Boolean::New(info.Env(), Unwrap(info.This().As<Napi::Object>())->flag_->aborted());
}

std::shared_ptr<AbortFlag> JsAbortFlag::of(const Napi::Value& value) {
  if (value.IsNull() || value.IsUndefined()) return nullptr;
  if (!isTagged(value, abortFlagTag)) throw wrongType(value.Env(), "abort", "an AbortFlag or null");
  return Unwrap(value.As<Napi::Object>())->flag_;
}

Napi::Function JsSession::define(Napi::Env env) {
  const auto constructor = DefineClass(
      env, "Session",
      {StaticMethod<&JsSession::load>("load"), InstanceMethod<&JsSession::forward>("forward"),
       InstanceMethod<&JsSession::step>("step"), InstanceMethod<&JsSession::createCache>("createCache"),
       InstanceMethod<&JsSession::dispose>("dispose")});
  defineAccessor<&JsSession::info>(constructor, "info");
  defineAccessor<&JsSession::cacheBytes>(constructor, "cacheBytes");
  return constructor;
}

JsSession::JsSession(const Napi::CallbackInfo& info) : ObjectWrap(info) {
  core_ = std::exchange(Environment::of(info.Env()).loaded, nullptr);
  if (!core_) throw Napi::TypeError::New(info.Env(), "Session has no public constructor: use Session.load");
  info.This().As<Napi::Object>().TypeTag(&sessionTag);
}

Model& SessionCore::usable() const {
  if (!model) throw Error(ErrorCode::disposed, "the model was disposed");
  return *model;
}

const std::shared_ptr<SessionCore>& JsSession::open() const {
  if (disposed_) throw Error(ErrorCode::disposed, "the model was disposed");
  return core_;
}

Napi::Value JsSession::load(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  return guarded(env, [&]() -> Napi::Value {
    if (!info[0].IsObject()) throw wrongType(env, "description", "an object");
    const auto description = info[0].As<Napi::Object>();
    auto core = std::make_shared<SessionCore>();
    core->architecture = readArchitecture(asObject(description.Get("architecture"), "architecture"));
    core->device = readString(description, "device");
    core->dtype = readDType(description, "dtype");
    core->threads = static_cast<int>(readInteger(description, "threads", 1, 1024));
    auto manifest = std::make_shared<Manifest>(readManifest(description));
    const auto report = progressReporter(info[1]);
    const auto abort = JsAbortFlag::of(info[2]);
    Environment::of(env).add(core->runner);
    return promise(
        env, *core->runner, abort,
        [core, manifest, report](const AbortFlag& flag) {
          core->model = std::make_unique<Model>(core->architecture,
                                                makeBackend(core->device, core->dtype, core->threads),
                                                *manifest, report, flag);
          core->device = core->model->backend().device();
          core->instructionSet = core->model->backend().instructionSet();
          core->weightBytes = core->model->weightBytes();
        },
        [core](Napi::Env env) -> Napi::Value {
          Environment& environment = Environment::of(env);
          environment.loaded = core;
          return environment.sessionClass.New({});
        });
  });
}

Napi::Value JsSession::info(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  if (!isTagged(info.This(), sessionTag)) throw wrongType(env, "this", "a Session");
  const SessionCore& core = *Unwrap(info.This().As<Napi::Object>())->core_;
  const auto result = Napi::Object::New(env);
  defineOwn(result, "device", core.device.c_str());
  defineOwn(result, "instructionSet", core.instructionSet.c_str());
  defineOwn(result, "threads", static_cast<double>(core.threads));
  defineOwn(result, "dtype", dtypeName(core.dtype));
  defineOwn(result, "weightBytes", static_cast<double>(core.weightBytes));
  return result;
}

Napi::Value JsSession::forward(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  return guarded(env, [&]() -> Napi::Value {
    const auto core = open();
    const Napi::Array array = requests(info, "requests");
    auto forwards = std::make_shared<std::vector<std::unique_ptr<OwnedForward>>>();
    auto caches = std::make_shared<std::vector<CacheUse>>();
    for (uint32_t i = 0; i < array.Length(); ++i) {
      const Napi::Value request = array.Get(i);
      const CacheUse& cache = caches->emplace_back(readCache(request, *core));
      forwards->push_back(readForward(request, core->architecture, cache.handle ? &cache.rows : nullptr));
    }
    return promise(
        env, *core->runner, JsAbortFlag::of(info[1]),
        [core, forwards, caches](const AbortFlag& flag) {
          Model& model = core->usable();
          std::vector<ForwardCanvas> canvases;
          for (size_t i = 0; i < forwards->size(); ++i) {
            canvases.push_back((*forwards)[i]->canvas);
            canvases.back().cached = (*caches)[i].view();
          }
          model.forward(canvases, flag);
        },
        [forwards](Napi::Env env) -> Napi::Value {
          const auto results = Napi::Array::New(env, forwards->size());
          for (uint32_t i = 0; i < forwards->size(); ++i)
            defineOwn(results, i, writeForward(env, *(*forwards)[i]));
          return results;
        });
  });
}

Napi::Value JsSession::step(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  return guarded(env, [&]() -> Napi::Value {
    const auto core = open();
    const Napi::Array array = requests(info, "canvases");
    struct Batch {
      std::vector<OwnedStep> steps;
      std::vector<CacheUse> caches;
      std::vector<StepCanvas> canvases;
    };
    auto batch = std::make_shared<Batch>();
    for (uint32_t i = 0; i < array.Length(); ++i) {
      const Napi::Value canvas = array.Get(i);
      batch->steps.push_back(
          readStep(canvas, core->architecture.vocabulary, core->architecture.maxPositions));
      batch->caches.push_back(readCache(canvas, *core));
    }
    for (size_t i = 0; i < batch->steps.size(); ++i) {
      batch->canvases.push_back(batch->steps[i].view());
      batch->canvases.back().cached = batch->caches[i].view();
    }
    const auto mask = readMask(info[1]);
    return promise(
        env, *core->runner, JsAbortFlag::of(info[2]),
        [core, batch, mask](const AbortFlag& flag) { core->usable().step(batch->canvases, flag, mask); },
        [batch](Napi::Env env) -> Napi::Value {
          const auto results = Napi::Array::New(env, batch->steps.size());
          for (uint32_t i = 0; i < batch->steps.size(); ++i)
            defineOwn(results, i, writeStep(env, batch->steps[i], batch->canvases[i].finite));
          return results;
        });
  });
}

Napi::Value JsSession::createCache(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  return guarded(env, [&]() -> Napi::Value {
    const auto core = open();
    const int64_t positions = asInteger(info[0], "positions", 1, core->architecture.maxPositions);
    const auto handle = std::make_shared<CacheHandle>(core);
    // On the runner's thread, as all memory of the backend.
    return promise(
        env, *core->runner, nullptr, [handle, positions](const AbortFlag&) { handle->allocate(positions); },
        [handle](Napi::Env env) -> Napi::Value { return JsKeyValueCache::make(env, handle); });
  });
}

Napi::Value JsSession::cacheBytes(const Napi::CallbackInfo& info) {
  if (!isTagged(info.This(), sessionTag)) throw wrongType(info.Env(), "this", "a Session");
  const SessionCore& core = *Unwrap(info.This().As<Napi::Object>())->core_;
  return Napi::Number::New(info.Env(), static_cast<double>(core.cacheBytes));
}

Napi::Value JsSession::dispose(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  return guarded(env, [&]() -> Napi::Value {
    const auto core = core_;
    if (!disposed_) core->runner->interrupt();
    disposed_ = true;
    // An earlier call may have stopped the runner, or may stop it while this one waits.
    return promise<LastJob>(
        env, *core->runner, nullptr,
        [core](const AbortFlag&) {
          core->caches.clear();
          core->model.reset();
        },
        [core](Napi::Env env) -> Napi::Value {
          core->runner->stop();
          return env.Undefined();
        });
  });
}

}  // namespace rnd1::napi
