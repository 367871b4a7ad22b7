// Scores of any logits under any plan, and the positions that a step would commit.
#include <algorithm>
#include <cstdlib>
#include <memory>
#include <vector>

#include "backend/registry.h"
#include "input.h"

namespace rnd1::fuzz {
namespace {

SamplingPlan samplingPlan(Input& input, const std::vector<int32_t>& banned,
                          const std::vector<int32_t>& zeroed) {
  SamplingPlan plan;
  plan.temperature = input.ConsumeBool() ? 0.0f : std::fabs(anyFloat(input));
  if (!std::isfinite(plan.temperature)) plan.temperature = 1;
  plan.topK =
      input.ConsumeBool() ? 0 : input.ConsumeIntegralInRange<int32_t>(0, std::numeric_limits<int32_t>::max());
  if (input.ConsumeBool()) plan.topK = plan.topK % 50;
  plan.topP = input.ConsumeBool() ? anyFloat(input) : input.ConsumeFloatingPointInRange(0.0f, 1.0f);
  plan.greedy = input.ConsumeBool();
  plan.seed = input.ConsumeIntegral<uint64_t>();
  plan.round = input.ConsumeIntegral<uint32_t>();
  plan.banned = banned;
  plan.zeroed = zeroed;
  plan.topPFirst = input.ConsumeBool();
  plan.rawConfidence = input.ConsumeBool();
  return plan;
}

UnmaskPlan unmaskPlan(Input& input) {
  constexpr UnmaskOrder orders[] = {UnmaskOrder::entropy, UnmaskOrder::confidence, UnmaskOrder::margin,
                                    UnmaskOrder::random};
  constexpr UnmaskLimit limits[] = {UnmaskLimit::keep, UnmaskLimit::gamma, UnmaskLimit::tau};
  UnmaskPlan plan;
  plan.order = input.PickValueInArray(orders);
  plan.limit = input.PickValueInArray(limits);
  plan.value = anyFloat(input);
  if (std::isnan(plan.value)) plan.value = 0;
  // As native/napi lets it through.
  if (plan.limit == UnmaskLimit::keep) plan.value = std::floor(std::fabs(plan.value));
  plan.seed = input.ConsumeIntegral<uint64_t>();
  plan.round = input.ConsumeIntegral<uint32_t>();
  plan.strict = input.ConsumeBool();
  plan.atLeast = input.ConsumeIntegralInRange<int32_t>(0, std::numeric_limits<int32_t>::max());
  plan.editAbove = anyFloat(input);
  if (plan.order != UnmaskOrder::random && plan.limit == UnmaskLimit::keep && input.ConsumeBool()) {
    plan.orderTemperature = std::fabs(anyFloat(input));
    if (!std::isfinite(plan.orderTemperature)) plan.orderTemperature = 1;
  }
  return plan;
}

/** Ids below the vocabulary, some of them twice. */
std::vector<int32_t> someIds(Input& input, int64_t vocabulary) {
  std::vector<int32_t> ids;
  for (int count = input.ConsumeIntegralInRange<int>(0, 5); count > 0; --count)
    ids.push_back(input.ConsumeIntegralInRange<int32_t>(0, static_cast<int32_t>(vocabulary - 1)));
  return ids;
}

}  // namespace

void run(Input& input) {
  const int64_t rows = smallSize(input, 1, 130), vocabulary = smallSize(input, 1, 3000);
  const auto banned = someIds(input, vocabulary), zeroed = someIds(input, vocabulary);
  const SamplingPlan plan = samplingPlan(input, banned, zeroed);
  const auto sets = cpuInstructionSets();
  const auto backend = makeCpuBackend(DType::f32, input.ConsumeIntegralInRange<int>(1, 2),
                                      sets[input.ConsumeIntegralInRange<size_t>(0, sets.size() - 1)]);
  std::vector<float> logits = floats(input, rows * vocabulary);
  std::vector<ScoreRow> scoreRows;
  std::vector<uint8_t> eligible;
  const bool fromFirst = input.ConsumeBool();
  for (int64_t row = 0; row < rows; ++row) {
    const auto position = static_cast<int32_t>(row + (fromFirst ? 0 : 1));
    scoreRows.push_back({0, position, 0, position > 0});
    eligible.push_back(input.ConsumeIntegralInRange<uint8_t>(notEligible, mayEdit));
  }
  std::vector<Score> scores(static_cast<size_t>(rows));
  Limits limits;
  limits.scoredRows = rows;
  limits.vocabulary = vocabulary;
  limits.filters = !plan.greedyUnfiltered(vocabulary);
  backend->reserve(limits);
  backend->scoreLogits({logits.data(), rows, vocabulary}, scoreRows, {&plan, 1}, scores);
  const bool finite =
      std::all_of(scores.begin(), scores.end(), [](const Score& score) { return score.finite; });
  for (const Score& score : scores)
    if (score.finite && (score.token < 0 || score.token >= vocabulary || std::isnan(score.confidence) ||
                         std::isnan(score.entropy)))
      std::abort();
  const UnmaskCanvas canvas{0, static_cast<int32_t>(rows), unmaskPlan(input)};
  backend->unmask({&canvas, 1}, scoreRows, eligible, scores);
  for (size_t i = 0; finite && i < scores.size(); ++i)
    if (scores[i].committed && !eligible[i]) std::abort();
}

}  // namespace rnd1::fuzz
