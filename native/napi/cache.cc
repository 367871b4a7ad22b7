#include "napi/cache.h"

#include <utility>

#include "napi/convert.h"
#include "napi/promise.h"
#include "napi/tags.h"

namespace rnd1::napi {
namespace {

constexpr napi_type_tag cacheTag{0x8c0d5e7f1a2b4936, 0x51f7c3a90e6d2b84};

/** Frees a cache. The core outlives its runner, so the job need not own it; if it never runs, the core frees
 * the cache with the model. */
class FreeCache final : public Job {
 public:
  FreeCache(SessionCore& core, KeyValueCache* cache) : core_(core), cache_(cache) {}
  void run(std::unique_ptr<Job>) noexcept override {
    std::erase_if(core_.caches, [this](const auto& known) { return known.get() == cache_; });
  }
  void cancel(std::unique_ptr<Job>) noexcept override {}

 private:
  SessionCore& core_;
  KeyValueCache* cache_;
};

JsKeyValueCache& unwrapped(const Napi::Value& value, const char* name) {
  if (!isTagged(value, cacheTag)) throw wrongType(value.Env(), name, "a KeyValueCache");
  return *JsKeyValueCache::Unwrap(value.As<Napi::Object>());
}

void adjustMemory(Napi::Env env, int64_t bytes) { Napi::MemoryManagement::AdjustExternalMemory(env, bytes); }

}  // namespace

CacheHandle::~CacheHandle() {
  if (counted_) core_->cacheBytes -= bytes_;
  if (!cache_) return;
  try {
    core_->runner->post(std::make_unique<FreeCache>(*core_, cache_));
  } catch (...) {
    // No memory for the job: the cache is freed with the model.
  }
}

void CacheHandle::allocate(int64_t positions) {
  Model& model = core_->usable();
  auto cache = std::make_unique<KeyValueCache>(model.backend(), model.architecture(), positions);
  core_->caches.push_back(std::move(cache));
  cache_ = core_->caches.back().get();
  positions_ = cache_->positions();
  bytes_ = cache_->bytes();
}

void CacheHandle::count() {
  counted_ = true;
  core_->cacheBytes += bytes_;
}

Napi::Function JsKeyValueCache::define(Napi::Env env) {
  const auto constructor =
      DefineClass(env, "KeyValueCache", {InstanceMethod<&JsKeyValueCache::dispose>("dispose")});
  defineAccessor<&JsKeyValueCache::positions>(constructor, "positions");
  defineAccessor<&JsKeyValueCache::bytes>(constructor, "bytes");
  return constructor;
}

JsKeyValueCache::JsKeyValueCache(const Napi::CallbackInfo& info) : ObjectWrap(info) {
  handle_ = std::exchange(Environment::of(info.Env()).allocated, nullptr);
  if (!handle_)
    throw Napi::TypeError::New(info.Env(),
                               "KeyValueCache has no public constructor: use session.createCache");
  positions_ = handle_->positions();
  bytes_ = handle_->bytes();
  handle_->count();
  if (handle_->core().device == "cpu") adjustMemory(info.Env(), bytes_);
  info.This().As<Napi::Object>().TypeTag(&cacheTag);
}

void JsKeyValueCache::Finalize(Napi::Env env) { let(env); }

void JsKeyValueCache::let(Napi::Env env) {
  if (!handle_) return;
  if (handle_->core().device == "cpu") adjustMemory(env, -bytes_);
  handle_.reset();
}

Napi::Value JsKeyValueCache::make(Napi::Env env, std::shared_ptr<CacheHandle> handle) {
  Environment& environment = Environment::of(env);
  environment.allocated = std::move(handle);
  return environment.cacheClass.New({});
}

std::shared_ptr<CacheHandle> JsKeyValueCache::of(const Napi::Value& value) {
  const JsKeyValueCache& cache = unwrapped(value, "cache.store");
  if (!cache.handle_) throw Error(ErrorCode::disposed, "the key/value cache was disposed");
  return cache.handle_;
}

Napi::Value JsKeyValueCache::positions(const Napi::CallbackInfo& info) {
  return Napi::Number::New(info.Env(), static_cast<double>(unwrapped(info.This(), "this").positions_));
}

Napi::Value JsKeyValueCache::bytes(const Napi::CallbackInfo& info) {
  return Napi::Number::New(info.Env(), static_cast<double>(unwrapped(info.This(), "this").bytes_));
}

Napi::Value JsKeyValueCache::dispose(const Napi::CallbackInfo& info) {
  let(info.Env());
  return info.Env().Undefined();
}

CacheUse readCache(const Napi::Value& canvas, const SessionCore& core) {
  const Napi::Value value = asObject(canvas, "canvas").Get("cache");
  if (value.IsNull() || value.IsUndefined()) return {};
  const Napi::Object object = asObject(value, "cache");
  CacheUse use;
  use.rows = readIntegers(object, "rows");
  // Read last: reading can run code that disposes it.
  use.handle = JsKeyValueCache::of(object.Get("store"));
  if (&use.handle->core() != &core)
    throw Napi::RangeError::New(canvas.Env(), "cache.store was created by another session");
  return use;
}

}  // namespace rnd1::napi
