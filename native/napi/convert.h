#pragma once

#include <napi.h>

#include <initializer_list>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "core/abort.h"
#include "model/graph.h"
#include "napi/results.h"

namespace rnd1::napi {

/** Readers of the plain objects of types/native.d.ts. All throw Napi::TypeError or RangeError naming the
 * field. */

DType readDType(const Napi::Object& object, const char* name,
                std::initializer_list<DType> allowed = {DType::f32, DType::f16, DType::bf16});
/** The mask with a block; none for null. */
std::optional<AttentionMask> readMask(const Napi::Value& block);
/** `name`: the value's name in errors. */
int64_t asInteger(const Napi::Value& value, const char* name, int64_t min, int64_t max);
int64_t readInteger(const Napi::Object& object, const char* name, int64_t min, int64_t max);
double readNumber(const Napi::Object& object, const char* name);
bool readBoolean(const Napi::Object& object, const char* name);
std::string readString(const Napi::Object& object, const char* name);
/** A copy of an Int32Array; `optional`: null becomes an empty vector. */
std::vector<int32_t> readIntegers(const Napi::Object& object, const char* name, bool optional = false);
/** A copy; `name`: the value's name in errors. */
std::vector<int32_t> asIntegers(const Napi::Value& value, const char* name);
Napi::Array readArray(const Napi::Value& value, const char* what);
Napi::Object asObject(const Napi::Value& value, const char* what);
/** `what`: the tokens' name in errors. */
void checkIds(const std::vector<int32_t>& ids, int64_t limit, const char* what);

Napi::RangeError outOfRange(Napi::Env env, const std::string& message);
Napi::TypeError wrongType(Napi::Env env, const char* name, const char* expected);

/** One StepCanvas, which owns what graph.h's StepCanvas borrows. */
struct OwnedStep {
  std::vector<int32_t> tokens, masked, banned, zeroed, unconditional;
  std::vector<uint8_t> eligible;
  std::vector<Score> scores;
  SamplingPlan sampling;
  UnmaskPlan unmask;
  std::optional<int32_t> shift;

  StepCanvas view();
};

OwnedStep readStep(const Napi::Value& value, int64_t vocabulary, int64_t maxPositions);
/** Creates the StepResult. */
Napi::Object writeStep(Napi::Env env, const OwnedStep& step, bool finite);

/** One ForwardRequest; results are written directly into the memory of the JavaScript arrays. */
struct OwnedForward {
  std::vector<int32_t> tokens, rows, forcedExperts;
  ArrayInTheMaking<float> logits, hidden, routerLogits, expertWeights;
  ArrayInTheMaking<int32_t> expertIds;
  ForwardCanvas canvas;
};

/** `computed`: the rows of its cache, null if it has none. */
std::unique_ptr<OwnedForward> readForward(const Napi::Value& value, const Architecture& architecture,
                                          const std::vector<int32_t>* computed);
/** Creates the ForwardResult; call it once. */
Napi::Object writeForward(Napi::Env env, OwnedForward& forward);

}  // namespace rnd1::napi
