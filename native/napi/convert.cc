#include "napi/convert.h"

#include <cmath>
#include <limits>

#include "core/sizes.h"

namespace rnd1::napi {
namespace {

Napi::RangeError outOfRange(Napi::Env env, const std::string& message) {
  return Napi::RangeError::New(env, message);
}

SamplingPlan readSampling(const Napi::Object& plan) {
  SamplingPlan sampling;
  sampling.temperature = static_cast<float>(readNumber(plan, "temperature"));
  if (!std::isfinite(sampling.temperature) || sampling.temperature < 0)
    throw outOfRange(plan.Env(), "temperature must be a finite number ≥ 0");
  sampling.topK = static_cast<int32_t>(readInteger(plan, "topK", 0, std::numeric_limits<int32_t>::max()));
  sampling.topP = static_cast<float>(readNumber(plan, "topP"));
  sampling.greedy = readBoolean(plan, "greedy");
  const Napi::Value seed = plan.Get("seed");
  if (!seed.IsBigInt()) throw wrongType(plan.Env(), "seed", "a bigint");
  bool lossless;
  sampling.seed = seed.As<Napi::BigInt>().Uint64Value(&lossless);
  sampling.round = static_cast<uint32_t>(readInteger(plan, "round", 0, std::numeric_limits<uint32_t>::max()));
  return sampling;
}

UnmaskPlan readUnmask(const Napi::Object& plan, const SamplingPlan& sampling) {
  UnmaskPlan unmask;
  const std::string order = readString(plan, "order");
  if (order == "entropy") {
    unmask.order = UnmaskOrder::entropy;
  } else if (order == "confidence") {
    unmask.order = UnmaskOrder::confidence;
  } else if (order == "margin") {
    unmask.order = UnmaskOrder::margin;
  } else if (order == "random") {
    unmask.order = UnmaskOrder::random;
  } else {
    throw wrongType(plan.Env(), "order", "'entropy', 'confidence', 'margin' or 'random'");
  }
  const std::string limit = readString(plan, "limit");
  unmask.value = readNumber(plan, "value");
  if (std::isnan(unmask.value)) throw outOfRange(plan.Env(), "value must not be NaN");
  if (limit == "keep") {
    unmask.limit = UnmaskLimit::keep;
    if (unmask.value < 0 || unmask.value != std::floor(unmask.value))
      throw outOfRange(plan.Env(), "value must be an integer ≥ 0 when limit is 'keep'");
  } else if (limit == "gamma") {
    unmask.limit = UnmaskLimit::gamma;
  } else if (limit == "tau") {
    unmask.limit = UnmaskLimit::tau;
    unmask.value = static_cast<float>(std::log(unmask.value));
  } else {
    throw wrongType(plan.Env(), "limit", "'keep', 'gamma' or 'tau'");
  }
  unmask.seed = sampling.seed;
  unmask.round = sampling.round;
  return unmask;
}

/** Marks the members of `subset` in `set`; both are strictly ascending. */
std::vector<uint8_t> membership(Napi::Env env, const std::vector<int32_t>& set,
                                const std::vector<int32_t>& subset) {
  std::vector<uint8_t> member(set.size(), 0);
  size_t i = 0;
  for (const int32_t position : subset) {
    while (i < set.size() && set[i] < position) ++i;
    if (i == set.size() || set[i] != position)
      throw outOfRange(env, "eligible must be an ascending subset of masked; " + std::to_string(position) +
                                " is missing or out of order");
    member[i++] = 1;
  }
  return member;
}

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
  if (optional && (value.IsNull() || value.IsUndefined())) return {};
  if (!value.IsTypedArray() || value.As<Napi::TypedArray>().TypedArrayType() != napi_int32_array)
    throw wrongType(object.Env(), name, "an Int32Array");
  const auto array = value.As<Napi::Int32Array>();
  return {array.Data(), array.Data() + array.ElementLength()};
}

void checkIds(const std::vector<int32_t>& ids, int64_t limit, const char* what) {
  for (const int32_t id : ids)
    if (id < 0 || id >= limit)
      throw Error(ErrorCode::invalidArgument, std::string(what) + ": " + std::to_string(id) +
                                                  " is outside [0, " + std::to_string(limit) + ")");
}

StepCanvas OwnedStep::view() {
  StepCanvas canvas;
  canvas.tokens = tokens;
  canvas.masked = masked;
  canvas.eligible = eligible;
  canvas.sampling = sampling;
  canvas.sampling.banned = banned;
  canvas.unmask = unmask;
  canvas.scores = scores;
  return canvas;
}

OwnedStep readStep(const Napi::Value& value, int64_t vocabulary, int64_t maxPositions) {
  const Napi::Object object = asObject(value, "canvas");
  const Napi::Env env = object.Env();
  OwnedStep step;
  step.tokens = readIntegers(object, "tokens");
  if (step.tokens.empty() || static_cast<int64_t>(step.tokens.size()) > maxPositions)
    throw outOfRange(env, "tokens: the canvas has " + std::to_string(step.tokens.size()) +
                              " positions, allowed are 1 to " + std::to_string(maxPositions));
  checkIds(step.tokens, vocabulary, "tokens");
  step.masked = readIntegers(object, "masked");
  if (step.masked.empty()) throw outOfRange(env, "masked must not be empty");
  checkIds(step.masked, static_cast<int64_t>(step.tokens.size()), "masked");
  for (size_t i = 1; i < step.masked.size(); ++i)
    if (step.masked[i] <= step.masked[i - 1]) throw outOfRange(env, "masked must ascend strictly");

  const Napi::Object plan = asObject(object.Get("plan"), "plan");
  const Napi::Value eligible = plan.Get("eligible");
  step.eligible = eligible.IsNull() || eligible.IsUndefined()
                      ? std::vector<uint8_t>(step.masked.size(), 1)
                      : membership(env, step.masked, readIntegers(plan, "eligible"));
  step.banned = readIntegers(plan, "banned");
  checkIds(step.banned, vocabulary, "banned");
  step.sampling = readSampling(plan);
  step.unmask = readUnmask(plan, step.sampling);
  step.scores.resize(step.masked.size());
  return step;
}

Napi::Object writeStep(Napi::Env env, const OwnedStep& step, bool finite) {
  const size_t count = step.masked.size();
  ArrayInTheMaking<int32_t> predicted(env, "predicted", static_cast<int64_t>(count));
  ArrayInTheMaking<float> confidence(env, "confidence", static_cast<int64_t>(count));
  ArrayInTheMaking<float> entropy(env, "entropy", static_cast<int64_t>(count));
  std::vector<int32_t> positions;
  for (size_t i = 0; i < count; ++i) {
    predicted.values()[i] = step.scores[i].token;
    confidence.values()[i] = step.scores[i].confidence;
    entropy.values()[i] = step.scores[i].entropy;
    if (finite && step.scores[i].committed) positions.push_back(step.masked[i]);
  }
  ArrayInTheMaking<int32_t> committed(env, "committed", static_cast<int64_t>(positions.size()));
  std::copy(positions.begin(), positions.end(), committed.values().begin());
  const auto result = Napi::Object::New(env);
  defineOwn(result, "predicted", predicted.handOver(env));
  defineOwn(result, "confidence", confidence.handOver(env));
  defineOwn(result, "entropy", entropy.handOver(env));
  defineOwn(result, "committed", committed.handOver(env));
  defineOwn(result, "notFinite", Napi::Boolean::New(env, !finite));
  return result;
}

std::unique_ptr<OwnedForward> readForward(const Napi::Value& value, const Architecture& architecture) {
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
    for (int32_t row = 0; row < length; ++row) forward->rows.push_back(row);
  } else {
    forward->rows = readIntegers(object, "rows");
    checkIds(forward->rows, length, "rows");
  }
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
  const Napi::Value block = object.Get("block");
  if (!block.IsNull() && !block.IsUndefined())
    canvas.mask = AttentionMask{static_cast<int32_t>(asInteger(block, "block", 0, INT32_MAX))};
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
