#pragma once

#include <napi.h>

#include <cstdint>
#include <span>

/**
 * Making what JavaScript gets, whatever it has made of its classes and prototypes: by the engine itself,
 * never by constructors that are looked up, and in own properties, so that no setter of a prototype is
 * called. Results are whole before any code of JavaScript can see them.
 */
namespace rnd1::napi {

/** An own property that can be written, listed and deleted. */
void defineOwn(const Napi::Object& object, const char* name, const Napi::Value& value);
void defineOwn(const Napi::Object& object, const char* name, const char* value);
void defineOwn(const Napi::Object& object, const char* name, double value);
void defineOwn(const Napi::Array& array, uint32_t index, const Napi::Value& value);

/**
 * A Float32Array, Int32Array or Uint32Array to be. Its memory is the engine's, and no code of JavaScript can
 * reach it, to transfer it away, say, before `handOver`: until then any thread may write to it. JavaScript
 * thread, but for `values`.
 */
template <typename T>
class ArrayInTheMaking {
 public:
  ArrayInTheMaking() = default;
  /** Of zeros. Throws Error out_of_memory, naming `name`. */
  ArrayInTheMaking(Napi::Env env, const char* name, int64_t count);

  std::span<T> values() const { return values_; }
  /** The array, once; null where there is none. */
  Napi::Value handOver(Napi::Env env);

 private:
  Napi::Reference<Napi::ArrayBuffer> buffer_;
  std::span<T> values_;
};

}  // namespace rnd1::napi
