#pragma once

#include <napi.h>

#include <cstdint>
#include <span>

/**
 * Creates JavaScript results, even if scripts changed built-in classes and prototypes: with engine calls
 * instead of looked-up constructors, and with own properties, so that no prototype's setter runs. Results are
 * complete before JavaScript code can see them.
 */
namespace rnd1::napi {

/** Defines an own property: writable, enumerable, configurable. */
void defineOwn(const Napi::Object& object, const char* name, const Napi::Value& value);
void defineOwn(const Napi::Object& object, const char* name, const char* value);
void defineOwn(const Napi::Object& object, const char* name, double value);
void defineOwn(const Napi::Array& array, uint32_t index, const Napi::Value& value);

/**
 * A Float32Array, Float64Array, Int32Array or Uint32Array under construction. The engine owns its memory, but
 * JavaScript code cannot access (or transfer) it before `handOver`: until then any thread may write to it.
 * JavaScript thread, except `values`.
 */
template <typename T>
class ArrayInTheMaking {
 public:
  ArrayInTheMaking() = default;
  /** Filled with zeros. Throws Error out_of_memory, naming `name`. */
  ArrayInTheMaking(Napi::Env env, const char* name, int64_t count);

  std::span<T> values() const { return values_; }
  /** Returns the array, once; null if there is none. */
  Napi::Value handOver(Napi::Env env);

 private:
  Napi::Reference<Napi::ArrayBuffer> buffer_;
  std::span<T> values_;
};

}  // namespace rnd1::napi
