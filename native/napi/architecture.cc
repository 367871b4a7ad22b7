#include "napi/architecture.h"

#include "napi/convert.h"

namespace rnd1::napi {
namespace {

constexpr int64_t maxSize = int64_t{1} << 24;

int64_t readSize(const Napi::Object& object, const char* name) {
  return readInteger(object, name, 1, maxSize);
}

AttentionShape readAttention(const Napi::Object& object) {
  AttentionShape shape;
  shape.heads = {readSize(object, "heads"), readSize(object, "keyValueHeads"), readSize(object, "headDim")};
  shape.bias = readBoolean(object, "bias");
  shape.headNorms = readBoolean(object, "headNorms");
  shape.rotaryWidth = readSize(object, "rotaryWidth");
  shape.ropeTheta = readNumber(object, "ropeTheta");
  shape.mask.block = static_cast<int32_t>(readInteger(object, "block", 0, INT32_MAX));
  return shape;
}

void readRouter(const Napi::Object& router, MlpShape& shape) {
  const std::string score = readString(router, "score");
  if (score != "softmax" && score != "sigmoid")
    throw wrongType(router.Env(), "score", "'softmax' or 'sigmoid'");
  shape.score = score == "sigmoid" ? RouterScore::sigmoid : RouterScore::softmax;
  shape.selectionBias = readBoolean(router, "selectionBias");
  const Napi::Value groups = router.Get("groups");
  if (!groups.IsNull() && !groups.IsUndefined()) {
    const Napi::Object object = asObject(groups, "groups");
    shape.groups = {static_cast<int32_t>(readSize(object, "count")),
                    static_cast<int32_t>(readSize(object, "kept"))};
  }
  shape.normalise = readBoolean(router, "normalise");
  shape.scale = static_cast<float>(readNumber(router, "scale"));
}

MlpShape readMlp(const Napi::Object& object) {
  MlpShape shape;
  const std::string kind = readString(object, "kind");
  shape.width = readSize(object, "width");
  if (kind == "dense") return shape;
  if (kind != "experts") throw wrongType(object.Env(), "kind", "'dense' or 'experts'");
  shape.experts = readSize(object, "experts");
  shape.expertsPerToken = readSize(object, "expertsPerToken");
  shape.sharedWidth = readInteger(object, "sharedWidth", 0, maxSize);
  readRouter(asObject(object.Get("router"), "router"), shape);
  return shape;
}

}  // namespace

Architecture readArchitecture(const Napi::Object& object) {
  const Napi::Env env = object.Env();
  Architecture architecture;
  const Napi::Array layers = readArray(object.Get("layers"), "layers");
  for (uint32_t i = 0; i < layers.Length(); ++i) {
    Napi::HandleScope scope(env);
    const Napi::Object layer = asObject(layers.Get(i), "layers");
    architecture.layers.push_back({readAttention(asObject(layer.Get("attention"), "attention")),
                                   readMlp(asObject(layer.Get("mlp"), "mlp"))});
  }
  if (architecture.layers.empty()) throw Napi::RangeError::New(env, "layers must not be empty");
  architecture.hidden = readSize(object, "hidden");
  architecture.vocabulary = readSize(object, "vocabulary");
  architecture.maxPositions = readSize(object, "maxPositions");
  architecture.rmsNormEpsilon = static_cast<float>(readNumber(object, "rmsNormEpsilon"));
  architecture.tiedHead = readBoolean(object, "tiedHead");
  architecture.prediction.shift = static_cast<int32_t>(readInteger(object, "predictionShift", 0, 1));
  architecture.prediction.keepsFirst = readBoolean(object, "keepsFirst");
  return architecture;
}

}  // namespace rnd1::napi
