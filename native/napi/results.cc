#include "napi/results.h"

#include <cstdlib>
#include <string>
#include <type_traits>

#include "core/sizes.h"

namespace rnd1::napi {
namespace {

/** Maximum elements of a typed array: beyond it, the engine of Node.js 20 aborts. */
constexpr int64_t maxElements = (int64_t{1} << 32) - 1;

template <typename T>
constexpr napi_typedarray_type typeOf = std::is_same_v<T, float>     ? napi_float32_array
                                        : std::is_same_v<T, double>  ? napi_float64_array
                                        : std::is_same_v<T, int32_t> ? napi_int32_array
                                                                     : napi_uint32_array;

void check(Napi::Env env, napi_status status) {
  if (status != napi_ok) throw Napi::Error::New(env);
}

/** Also for "0": an array index is a name like any other. */
void defineNamed(const Napi::Object& object, const Napi::String& name, const Napi::Value& value) {
  napi_property_descriptor property{};
  property.name = name;
  property.value = value;
  property.attributes = napi_default_jsproperty;
  check(object.Env(), napi_define_properties(object.Env(), object, 1, &property));
}

}  // namespace

void defineOwn(const Napi::Object& object, const char* name, const Napi::Value& value) {
  defineNamed(object, Napi::String::New(object.Env(), name), value);
}

void defineOwn(const Napi::Object& object, const char* name, const char* value) {
  defineOwn(object, name, Napi::String::New(object.Env(), value));
}

void defineOwn(const Napi::Object& object, const char* name, double value) {
  defineOwn(object, name, Napi::Number::New(object.Env(), value));
}

void defineOwn(const Napi::Array& array, uint32_t index, const Napi::Value& value) {
  defineNamed(array, Napi::String::New(array.Env(), std::to_string(index)), value);
}

template <typename T>
ArrayInTheMaking<T>::ArrayInTheMaking(Napi::Env env, const char* name, int64_t count) {
  const auto bytes = static_cast<size_t>(sizeProduct(count, sizeof(T)));
  // Node-API aborts the process when memory is short, so this checks first. Volatile, or compilers would
  // remove the check.
  void* volatile probe = count > maxElements ? nullptr : std::malloc(bytes + 1);
  if (!probe)
    throw Error(ErrorCode::outOfMemory,
                std::string(name) + ": out of memory for an array of length " + std::to_string(count));
  std::free(probe);
  void* memory = nullptr;
  napi_value buffer;
  check(env, napi_create_arraybuffer(env, bytes, &memory, &buffer));
  buffer_ = Napi::Persistent(Napi::ArrayBuffer(env, buffer));
  values_ = {static_cast<T*>(memory), static_cast<size_t>(count)};
}

template <typename T>
Napi::Value ArrayInTheMaking<T>::handOver(Napi::Env env) {
  if (buffer_.IsEmpty()) return env.Null();
  napi_value array;
  check(env, napi_create_typedarray(env, typeOf<T>, values_.size(), buffer_.Value(), 0, &array));
  buffer_.Reset();
  values_ = {};
  return {env, array};
}

template class ArrayInTheMaking<float>;
template class ArrayInTheMaking<double>;
template class ArrayInTheMaking<int32_t>;
template class ArrayInTheMaking<uint32_t>;

}  // namespace rnd1::napi
