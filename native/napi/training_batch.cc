#include "napi/training_batch.h"

#include <cmath>
#include <string>

#include "core/sizes.h"
#include "napi/convert.h"

namespace rnd1::napi {
namespace {

template <typename Array, typename T>
std::vector<T> copied(const Napi::Value& value, napi_typedarray_type type, const char* name,
                      const char* expected) {
  if (!value.IsTypedArray() || value.As<Napi::TypedArray>().TypedArrayType() != type)
    throw wrongType(value.Env(), name, expected);
  const auto array = value.As<Array>();
  return {array.Data(), array.Data() + array.ElementLength()};
}

std::vector<double> readDoubles(const Napi::Object& object, const char* name) {
  std::vector<double> values =
      copied<Napi::Float64Array, double>(object.Get(name), napi_float64_array, name, "a Float64Array");
  for (const double value : values)
    if (!std::isfinite(value) || value < 0)
      throw outOfRange(object.Env(), std::string(name) + " must be finite and not negative");
  return values;
}

/** A number in [0, below). */
double readRate(const Napi::Object& object, const char* name, double below) {
  const double value = readNumber(object, name);
  if (!(value >= 0 && value < below))
    throw outOfRange(object.Env(), std::string(name) + " must be at least 0 and less than " +
                                       (below == 1 ? "1" : "infinity"));
  return value;
}

TrainingBatch readBatch(const Napi::Value& value) {
  const Napi::Object object = asObject(value, "batches");
  TrainingBatch batch;
  batch.tokens = readIntegers(object, "tokens");
  batch.offsets = readIntegers(object, "offsets");
  batch.mask = readMask(object.Get("block"));
  batch.rows = readIntegers(object, "rows");
  batch.targets = readIntegers(object, "targets");
  batch.weights = asFloats(object.Get("weights"), "weights");
  batch.auxCoef = readRate(object, "auxCoef", INFINITY);
  batch.zCoef = readRate(object, "zCoef", INFINITY);
  const std::string scope = readString(object, "auxScope");
  if (scope != "pooled" && scope != "layer") throw wrongType(object.Env(), "auxScope", "'pooled' or 'layer'");
  batch.auxScope = scope == "pooled" ? AuxScope::pooled : AuxScope::layer;
  return batch;
}

}  // namespace

std::vector<float> asFloats(const Napi::Value& value, const char* name) {
  return copied<Napi::Float32Array, float>(value, napi_float32_array, name, "a Float32Array");
}

std::vector<TrainingBatch> readBatches(const Napi::Value& value) {
  const Napi::Array array = readArray(value, "batches");
  if (array.Length() == 0) throw outOfRange(value.Env(), "batches must not be empty");
  std::vector<TrainingBatch> batches;
  for (uint32_t i = 0; i < array.Length(); ++i) {
    Napi::HandleScope scope(value.Env());
    batches.push_back(readBatch(array.Get(i)));
  }
  return batches;
}

OptimizerStep readOptimizerStep(const Napi::Value& value) {
  const Napi::Object object = asObject(value, "step");
  OptimizerStep step;
  step.learningRates = readDoubles(object, "learningRates");
  step.weightDecays = readDoubles(object, "weightDecays");
  step.adam.beta1 = readRate(object, "beta1", 1);
  step.adam.beta2 = readRate(object, "beta2", 1);
  step.adam.epsilon = readRate(object, "epsilon", INFINITY);
  step.adam.step = readInteger(object, "step", 1, int64_t{1} << 52);
  step.maxNorm = readRate(object, "maxNorm", INFINITY);
  step.batchNorms = readBoolean(object, "batchNorms");
  return step;
}

ParameterArray readParameterArray(const Napi::Value& value) {
  const std::string name = value.IsString() ? value.As<Napi::String>().Utf8Value() : "";
  if (name == "value") return ParameterArray::value;
  if (name == "gradient") return ParameterArray::gradient;
  if (name == "firstMoment") return ParameterArray::firstMoment;
  if (name == "secondMoment") return ParameterArray::secondMoment;
  throw wrongType(value.Env(), "array", "'value', 'gradient', 'firstMoment' or 'secondMoment'");
}

ReportArrays::ReportArrays(Napi::Env env, const std::vector<TrainingBatch>& batches,
                           const Architecture& architecture, size_t normedParameters) {
  int64_t scored = 0;
  for (const TrainingBatch& batch : batches) scored += static_cast<int64_t>(batch.rows.size());
  crossEntropies_ = {env, "crossEntropies", scored};
  expertRows_ = {env, "expertRows", sizeProduct(architecture.expertLayers(), architecture.experts())};
  if (normedParameters > 0)
    squaredNorms_ = {
        env, "squaredNorms",
        sizeProduct(static_cast<int64_t>(batches.size() + 1), static_cast<int64_t>(normedParameters))};
}

Napi::Object ReportArrays::writeLosses(Napi::Env env, const TrainingLosses& losses) {
  const auto result = Napi::Object::New(env);
  defineOwn(result, "total", losses.total());
  defineOwn(result, "main", losses.main);
  defineOwn(result, "aux", losses.aux);
  defineOwn(result, "z", losses.z);
  defineOwn(result, "crossEntropies", crossEntropies_.handOver(env));
  defineOwn(result, "expertRows", expertRows_.handOver(env));
  return result;
}

Napi::Object ReportArrays::writeOutcome(Napi::Env env, const StepOutcome& outcome) {
  const auto result = Napi::Object::New(env);
  defineOwn(result, "losses", writeLosses(env, outcome.losses));
  defineOwn(result, "gradientNorm", outcome.gradientNorm);
  defineOwn(result, "clipScale", outcome.clipScale);
  defineOwn(result, "applied", Napi::Boolean::New(env, outcome.applied));
  defineOwn(result, "squaredNorms", squaredNorms_.handOver(env));
  defineOwn(result, "forward", outcome.times.forward);
  defineOwn(result, "backward", outcome.times.backward);
  defineOwn(result, "optimizer", outcome.times.optimizer);
  return result;
}

Napi::Array writeParameters(Napi::Env env, const std::vector<Parameter>& parameters) {
  const auto result = Napi::Array::New(env, parameters.size());
  for (uint32_t i = 0; i < parameters.size(); ++i) {
    Napi::HandleScope scope(env);
    const Parameter& parameter = parameters[i];
    const auto shape = Napi::Array::New(env, parameter.shape.size());
    for (uint32_t d = 0; d < parameter.shape.size(); ++d)
      defineOwn(shape, d, Napi::Number::New(env, static_cast<double>(parameter.shape[d])));
    const auto object = Napi::Object::New(env);
    defineOwn(object, "role", parameter.role.c_str());
    defineOwn(object, "shape", shape);
    defineOwn(object, "frozen", Napi::Boolean::New(env, parameter.frozen()));
    defineOwn(result, i, object);
  }
  return result;
}

}  // namespace rnd1::napi
