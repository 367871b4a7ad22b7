#include "napi/convert.h"

#include <cmath>
#include <limits>

#include "core/sizes.h"

namespace rnd1::napi {
namespace {

bool isNull(const Napi::Value& value) { return value.IsNull() || value.IsUndefined(); }

}  // namespace

double readNumber(const Napi::Object& object, const char* name) {
  const Napi::Value value = object.Get(name);
  if (!value.IsNumber()) throw wrongType(object.Env(), name, "a number");
  return value.As<Napi::Number>().DoubleValue();
}

bool readBoolean(const Napi::Object& object, const char* name) {
  const Napi::Value value = object.Get(name);
  if (!value.IsBoolean()) throw wrongType(object.Env(), name, "a boolean");
  return value.As<Napi::Boolean>().Value();
}

Napi::RangeError outOfRange(Napi::Env env, const std::string& message) {
  return Napi::RangeError::New(env, message);
}

Napi::TypeError wrongType(Napi::Env env, const char* name, const char* expected) {
  return Napi::TypeError::New(env, std::string(name) + " must be " + expected);
}

int64_t asInteger(const Napi::Value& value, const char* name, int64_t min, int64_t max) {
  if (!value.IsNumber()) throw wrongType(value.Env(), name, "a number");
  const double number = value.As<Napi::Number>().DoubleValue();
  if (!(number >= static_cast<double>(min) && number <= static_cast<double>(max)) ||
      number != std::floor(number))
    throw outOfRange(value.Env(), std::string(name) + " must be an integer from " + std::to_string(min) +
                                      " to " + std::to_string(max));
  return static_cast<int64_t>(number);
}

std::optional<AttentionMask> readMask(const Napi::Value& block) {
  if (isNull(block)) return {};
  return AttentionMask{static_cast<int32_t>(asInteger(block, "block", 0, INT32_MAX))};
}

int64_t readInteger(const Napi::Object& object, const char* name, int64_t min, int64_t max) {
  return asInteger(object.Get(name), name, min, max);
}

std::string readString(const Napi::Object& object, const char* name) {
  const Napi::Value value = object.Get(name);
  if (!value.IsString()) throw wrongType(object.Env(), name, "a string");
  return value.As<Napi::String>().Utf8Value();
}

DType readDType(const Napi::Object& object, const char* name, std::initializer_list<DType> allowed) {
  const std::string text = readString(object, name);
  std::string names;
  for (const DType dtype : allowed) {
    if (text == dtypeName(dtype)) return dtype;
    names += std::string(names.empty() ? "" : " or ") + "'" + dtypeName(dtype) + "'";
  }
  throw wrongType(object.Env(), name, names.c_str());
}

Napi::Object asObject(const Napi::Value& value, const char* what) {
  if (!value.IsObject()) throw wrongType(value.Env(), what, "an object");
  return value.As<Napi::Object>();
}

Napi::Array readArray(const Napi::Value& value, const char* what) {
  if (!value.IsArray()) throw wrongType(value.Env(), what, "an array");
  return value.As<Napi::Array>();
}

std::vector<int32_t> readIntegers(const Napi::Object& object, const char* name, bool optional) {
  const Napi::Value value = object.Get(name);
  return optional && isNull(value) ? std::vector<int32_t>() : asIntegers(value, name);
}

std::vector<int32_t> asIntegers(const Napi::Value& value, const char* name) {
  if (!value.IsTypedArray() || value.As<Napi::TypedArray>().TypedArrayType() != napi_int32_array)
    throw wrongType(value.Env(), name, "an Int32Array");
  const auto array = value.As<Napi::Int32Array>();
  return {array.Data(), array.Data() + array.ElementLength()};
}

void checkIds(const std::vector<int32_t>& ids, int64_t limit, const char* what) {
  for (const int32_t id : ids)
    if (id < 0 || id >= limit)
      throw Error(ErrorCode::invalidArgument, std::string(what) + ": " + std::to_string(id) +
                                                  " is outside [0, " + std::to_string(limit) + ")");
}

std::unique_ptr<OwnedForward> readForward(const Napi::Value& value, const Architecture& architecture,
                                          const std::vector<int32_t>* computed) {
  const Napi::Object object = asObject(value, "request");
  const Napi::Env env = object.Env();
  auto forward = std::make_unique<OwnedForward>();
  forward->tokens = readIntegers(object, "tokens");
  const auto length = static_cast<int64_t>(forward->tokens.size());
  if (length == 0 || length > architecture.maxPositions)
    throw outOfRange(env, "tokens: the canvas has " + std::to_string(length) +
                              " positions, allowed are 1 to " + std::to_string(architecture.maxPositions));
  checkIds(forward->tokens, architecture.vocabulary, "tokens");
  const Napi::Value rows = object.Get("rows");
  if (rows.IsNull() || rows.IsUndefined()) {
    if (computed) forward->rows = *computed;
    for (int32_t row = 0; !computed && row < length; ++row) forward->rows.push_back(row);
  } else {
    forward->rows = readIntegers(object, "rows");
  }
  checkIds(forward->rows, length, "rows");
  forward->forcedExperts = readIntegers(object, "forcedExperts", true);
  if (!forward->forcedExperts.empty()) {
    const int64_t k = architecture.expertsPerToken();
    const auto expected = static_cast<size_t>(sizeProduct(architecture.expertLayers(), length, k));
    if (forward->forcedExperts.size() != expected)
      throw outOfRange(env, "forcedExperts must have layers with experts · tokens · expertsPerToken = " +
                                std::to_string(expected) + " ids, not " +
                                std::to_string(forward->forcedExperts.size()));
    checkIds(forward->forcedExperts, architecture.experts(), "forcedExperts");
    for (size_t first = 0; first < expected; first += static_cast<size_t>(k))
      for (int64_t i = 0; i < k; ++i)
        for (int64_t j = 0; j < i; ++j)
          if (forward->forcedExperts[first + i] == forward->forcedExperts[first + j])
            throw outOfRange(env, "forcedExperts: an expert occurs twice for one token");
  }

  const auto count = static_cast<int64_t>(forward->rows.size());
  const auto layers = static_cast<int64_t>(architecture.layers.size());
  const int64_t expertLayers = architecture.expertLayers();
  ForwardCanvas& canvas = forward->canvas;
  canvas.tokens = forward->tokens;
  canvas.rows = forward->rows;
  canvas.forcedExperts = forward->forcedExperts;
  const auto make = [&]<typename T>(ArrayInTheMaking<T>& array, const char* name, auto... sizes) {
    array = ArrayInTheMaking<T>(env, name, sizeProduct(count, sizes...));
    return array.values();
  };
  // Read before anything is created: getters may run any code.
  const bool logits = readBoolean(object, "logits");
  const bool hidden = readBoolean(object, "hidden");
  const bool routing = readBoolean(object, "routing");
  canvas.mask = readMask(object.Get("block"));
  if (logits) canvas.logits = make(forward->logits, "logits", architecture.vocabulary);
  if (hidden) canvas.hidden = make(forward->hidden, "hidden", layers + 2, architecture.hidden);
  if (routing) {
    const int64_t k = architecture.expertsPerToken();
    canvas.routerLogits = make(forward->routerLogits, "routerLogits", expertLayers, architecture.experts());
    canvas.expertIds = make(forward->expertIds, "expertIds", expertLayers, k);
    canvas.expertWeights = make(forward->expertWeights, "expertWeights", expertLayers, k);
  }
  return forward;
}

Napi::Object writeForward(Napi::Env env, OwnedForward& forward) {
  const auto result = Napi::Object::New(env);
  defineOwn(result, "logits", forward.logits.handOver(env));
  defineOwn(result, "hidden", forward.hidden.handOver(env));
  defineOwn(result, "routerLogits", forward.routerLogits.handOver(env));
  defineOwn(result, "expertIds", forward.expertIds.handOver(env));
  defineOwn(result, "expertWeights", forward.expertWeights.handOver(env));
  return result;
}

}  // namespace rnd1::napi
