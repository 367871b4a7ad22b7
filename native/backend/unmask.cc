#include "backend/unmask.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "core/random.h"

namespace rnd1 {
namespace {

/** Gumbel noise is added to the keys of Dream's reference: probability, margin, negative entropy. As an f32.
 */
double noisyKey(const UnmaskPlan& plan, const Score& score, uint32_t word) {
  const double key = plan.order == UnmaskOrder::confidence ? std::exp(static_cast<double>(score.confidence))
                     : plan.order == UnmaskOrder::margin   ? static_cast<double>(score.margin)
                                                           : -static_cast<double>(score.entropy);
  const double noise = -std::log(-std::log(static_cast<double>(uniform(word))));
  return static_cast<float>(key / plan.orderTemperature + noise);
}

/** Smaller is better. */
double keyOf(const UnmaskPlan& plan, const ScoreRow& row, const Score& score) {
  if (plan.order == UnmaskOrder::random || plan.orderTemperature > 0) {
    const auto counter = orderCounter(static_cast<uint32_t>(row.position), plan.round);
    const uint32_t word = philox(plan.seed, counter)[0];
    return plan.order == UnmaskOrder::random ? word : -noisyKey(plan, score, word);
  }
  return plan.order == UnmaskOrder::confidence ? -score.confidence
         : plan.order == UnmaskOrder::margin   ? -score.margin
                                               : score.entropy;
}

}  // namespace

void Unmasker::unmask(const UnmaskPlan& plan, std::span<const ScoreRow> rows,
                      std::span<const uint8_t> eligible, std::span<Score> scores) {
  order_.clear();
  keys_.resize(rows.size());
  for (size_t i = 0; i < rows.size(); ++i) {
    scores[i].committed =
        eligible[i] == mayEdit && scores[i].token != rows[i].token && scores[i].confidence > plan.editAbove;
    if (eligible[i] != mayCommit) continue;
    order_.push_back(static_cast<int32_t>(i));
    keys_[i] = keyOf(plan, rows[i], scores[i]);
  }
  const auto available = static_cast<int64_t>(order_.size());
  int64_t count = 0;
  if (plan.limit == UnmaskLimit::tau) {
    const auto threshold = static_cast<float>(plan.value);
    const auto sure = [&](int32_t i) {
      return plan.strict ? scores[i].confidence > threshold : scores[i].confidence >= threshold;
    };
    if (std::count_if(order_.begin(), order_.end(), sure) >= plan.atLeast) {
      for (const int32_t i : order_) scores[i].committed = sure(i);
      return;
    }
    count = plan.atLeast;
  }
  // Rows ascend by position, so the index breaks ties: the lower position is committed first.
  std::sort(order_.begin(), order_.end(),
            [&](int32_t a, int32_t b) { return keys_[a] < keys_[b] || (keys_[a] == keys_[b] && a < b); });
  if (plan.limit == UnmaskLimit::keep) {
    count = plan.value >= static_cast<double>(available) ? 0 : available - static_cast<int64_t>(plan.value);
  } else if (plan.limit == UnmaskLimit::gamma) {
    // Entropy-bounded, computed as in the reference: the sum in double, stored as f32.
    double sum = 0;
    float maximum = -std::numeric_limits<float>::infinity();
    for (const int32_t i : order_) {
      sum += scores[i].entropy;
      maximum = std::max(maximum, scores[i].entropy);
      if (static_cast<float>(sum) - maximum <= static_cast<float>(plan.value)) ++count;
    }
  }
  for (int64_t i = 0; i < std::min(count, available); ++i) scores[order_[i]].committed = true;
}

}  // namespace rnd1
