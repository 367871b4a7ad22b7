#pragma once

#include <napi.h>

#include <memory>
#include <vector>

#include "napi/session.h"

namespace rnd1::napi {

/**
 * Shared by the object of JavaScript and the steps that use the cache; the last owner has the session's
 * runner free it. JavaScript thread, except where it says otherwise.
 */
class CacheHandle {
 public:
  explicit CacheHandle(std::shared_ptr<SessionCore> core) : core_(std::move(core)) {}
  ~CacheHandle();
  CacheHandle(const CacheHandle&) = delete;
  CacheHandle& operator=(const CacheHandle&) = delete;

  /** Allocates the cache, once. Runner's thread. */
  void allocate(int64_t positions);
  /** Counts its bytes for the session, once, after `allocate`. */
  void count();

  const SessionCore& core() const { return *core_; }
  KeyValueCache* cache() const { return cache_; }
  int64_t positions() const { return positions_; }
  int64_t bytes() const { return bytes_; }

 private:
  std::shared_ptr<SessionCore> core_;
  KeyValueCache* cache_ = nullptr;  // the core's; freed earlier if the session is disposed
  int64_t positions_ = 0, bytes_ = 0;
  bool counted_ = false;
};

/** `KeyValueCache` of types/native.d.ts. */
class JsKeyValueCache final : public Napi::ObjectWrap<JsKeyValueCache> {
 public:
  static Napi::Function define(Napi::Env env);
  explicit JsKeyValueCache(const Napi::CallbackInfo& info);
  void Finalize(Napi::Env env) override;

  /** A new object. */
  static Napi::Value make(Napi::Env env, std::shared_ptr<CacheHandle> handle);
  /** The handle of an argument. Throws TypeError, and Error disposed. */
  static std::shared_ptr<CacheHandle> of(const Napi::Value& value);

 private:
  static Napi::Value positions(const Napi::CallbackInfo& info);
  static Napi::Value bytes(const Napi::CallbackInfo& info);
  Napi::Value dispose(const Napi::CallbackInfo& info);
  void let(Napi::Env env);

  std::shared_ptr<CacheHandle> handle_;  // null: disposed
  int64_t positions_ = 0, bytes_ = 0;
};

/** `cache` of a StepCanvas or ForwardRequest. */
struct CacheUse {
  std::shared_ptr<CacheHandle> handle;  // null: none
  std::vector<int32_t> rows;

  CachedRows view() const { return {handle ? handle->cache() : nullptr, rows}; }
};

/** Throws TypeError, RangeError for a cache of another session, and Error disposed. */
CacheUse readCache(const Napi::Value& canvas, const SessionCore& core);

}  // namespace rnd1::napi
