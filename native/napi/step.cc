// StepCanvas and StepResult of types/native.d.ts.
#include <cmath>
#include <limits>

#include "napi/convert.h"

namespace rnd1::napi {
namespace {

SamplingPlan readSampling(const Napi::Object& plan) {
  SamplingPlan sampling;
  sampling.temperature = static_cast<float>(readNumber(plan, "temperature"));
  if (!std::isfinite(sampling.temperature) || sampling.temperature < 0)
    throw outOfRange(plan.Env(), "temperature must be a finite number ≥ 0");
  sampling.topK = static_cast<int32_t>(readInteger(plan, "topK", 0, std::numeric_limits<int32_t>::max()));
  sampling.topP = static_cast<float>(readNumber(plan, "topP"));
  sampling.topPFirst = readBoolean(plan, "topPFirst");
  sampling.greedy = readBoolean(plan, "greedy");
  sampling.rawConfidence = readBoolean(plan, "rawConfidence");
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
    if (unmask.value < 0) throw outOfRange(plan.Env(), "value must be ≥ 0 when limit is 'tau'");
    unmask.value = static_cast<float>(std::log(unmask.value));
  } else {
    throw wrongType(plan.Env(), "limit", "'keep', 'gamma' or 'tau'");
  }
  unmask.strict = readBoolean(plan, "strict");
  unmask.atLeast = static_cast<int32_t>(readInteger(plan, "atLeast", 0, std::numeric_limits<int32_t>::max()));
  const double editAbove = readNumber(plan, "editAbove");
  if (!(editAbove >= 0)) throw outOfRange(plan.Env(), "editAbove must be ≥ 0");
  unmask.editAbove = static_cast<float>(std::log(editAbove));
  unmask.orderTemperature = readNumber(plan, "orderTemperature");
  if (!std::isfinite(unmask.orderTemperature) || unmask.orderTemperature < 0)
    throw outOfRange(plan.Env(), "orderTemperature must be a finite number ≥ 0");
  if (unmask.orderTemperature > 0 &&
      (unmask.limit != UnmaskLimit::keep || unmask.order == UnmaskOrder::random))
    throw outOfRange(plan.Env(),
                     "orderTemperature above 0 needs limit 'keep' and an order other than 'random'");
  unmask.seed = sampling.seed;
  unmask.round = sampling.round;
  return unmask;
}

/** Marks the members of a plan's list in `marks`, which stand for the strictly ascending `masked`. */
void mark(const Napi::Object& plan, const char* name, Eligibility as, const std::vector<int32_t>& masked,
          std::vector<uint8_t>& marks) {
  size_t i = 0;
  for (const int32_t position : readIntegers(plan, name)) {
    while (i < masked.size() && masked[i] < position) ++i;
    if (i == masked.size() || masked[i] != position)
      throw outOfRange(plan.Env(), std::string(name) + " must be an ascending subset of masked; " +
                                       std::to_string(position) + " is missing or out of order");
    if (marks[i] != notEligible)
      throw outOfRange(plan.Env(), "position " + std::to_string(position) + " is both editable and eligible");
    marks[i++] = as;
  }
}

std::vector<uint8_t> readEligibility(const Napi::Object& plan, const std::vector<int32_t>& masked) {
  std::vector<uint8_t> marks(masked.size(), notEligible);
  if (!plan.Get("editable").IsNull()) mark(plan, "editable", mayEdit, masked, marks);
  const Napi::Value eligible = plan.Get("eligible");
  if (!eligible.IsNull() && !eligible.IsUndefined()) {
    mark(plan, "eligible", mayCommit, masked, marks);
  } else {
    for (uint8_t& each : marks)
      if (each == notEligible) each = mayCommit;
  }
  return marks;
}

/** Reads the canvas's `guidance`, which may be null. */
void readGuidance(const Napi::Object& canvas, int64_t vocabulary, OwnedStep& step) {
  const Napi::Value value = canvas.Get("guidance");
  if (value.IsNull()) return;
  const Napi::Object guidance = asObject(value, "guidance");
  const Napi::Value scale = guidance.Get("scale");
  if (!scale.IsNumber()) throw wrongType(canvas.Env(), "guidance.scale", "a number");
  step.sampling.guidance = scale.As<Napi::Number>().FloatValue();
  if (!std::isfinite(step.sampling.guidance))
    throw outOfRange(canvas.Env(), "guidance.scale must be a finite number");
  step.unconditional = asIntegers(guidance.Get("tokens"), "guidance.tokens");
  if (step.unconditional.size() != step.tokens.size())
    throw outOfRange(canvas.Env(), "guidance.tokens must have as many tokens as the canvas, " +
                                       std::to_string(step.tokens.size()) + ", not " +
                                       std::to_string(step.unconditional.size()));
  checkIds(step.unconditional, vocabulary, "guidance.tokens");
}

}  // namespace

StepCanvas OwnedStep::view() {
  StepCanvas canvas;
  canvas.tokens = tokens;
  canvas.masked = masked;
  canvas.eligible = eligible;
  canvas.sampling = sampling;
  canvas.sampling.banned = banned;
  canvas.sampling.zeroed = zeroed;
  canvas.unconditional = unconditional;
  canvas.shift = shift;
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
  step.eligible = readEligibility(plan, step.masked);
  step.banned = readIntegers(plan, "banned");
  checkIds(step.banned, vocabulary, "banned");
  step.zeroed = readIntegers(plan, "zeroed");
  checkIds(step.zeroed, vocabulary, "zeroed");
  step.sampling = readSampling(plan);
  step.unmask = readUnmask(plan, step.sampling);
  const Napi::Value shift = object.Get("shift");
  if (!shift.IsNull()) step.shift = static_cast<int32_t>(asInteger(shift, "shift", 0, 1));
  readGuidance(object, vocabulary, step);
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

}  // namespace rnd1::napi
