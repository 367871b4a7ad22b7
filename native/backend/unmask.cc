#include "backend/unmask.h"

#include <algorithm>
#include <limits>

#include "core/random.h"

namespace rnd1 {

void Unmasker::unmask(const UnmaskPlan& plan, std::span<const ScoreRow> rows,
                      std::span<const uint8_t> eligible, std::span<Score> scores) {
  order_.clear();
  keys_.resize(rows.size());
  for (size_t i = 0; i < rows.size(); ++i) {
    scores[i].committed = false;
    if (!eligible[i]) continue;
    order_.push_back(static_cast<int32_t>(i));
    if (plan.order == UnmaskOrder::random)
      keys_[i] = philox(plan.seed, orderCounter(static_cast<uint32_t>(rows[i].position), plan.round))[0];
  }
  // Rows ascend by position, so the index breaks ties: the lower position is committed first.
  std::sort(order_.begin(), order_.end(), [&](int32_t a, int32_t b) {
    const Score &left = scores[a], &right = scores[b];
    if (plan.order == UnmaskOrder::confidence) {
      if (left.confidence != right.confidence) return left.confidence > right.confidence;
    } else if (plan.order == UnmaskOrder::entropy) {
      if (left.entropy != right.entropy) return left.entropy < right.entropy;
    } else if (plan.order == UnmaskOrder::margin) {
      if (left.margin != right.margin) return left.margin > right.margin;
    } else if (keys_[a] != keys_[b]) {
      return keys_[a] < keys_[b];
    }
    return a < b;
  });

  const auto available = static_cast<int64_t>(order_.size());
  int64_t count = 0;
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
  } else {
    count = 1;
    for (const int32_t i : order_) {
      scores[i].committed = scores[i].confidence >= static_cast<float>(plan.value);
      if (scores[i].committed) count = 0;
    }
  }
  for (int64_t i = 0; i < std::min(count, available); ++i) scores[order_[i]].committed = true;
}

}  // namespace rnd1
