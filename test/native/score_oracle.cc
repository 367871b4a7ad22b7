// Scores and unmasking, written plainly in float64.
#include <algorithm>
#include <cfloat>
#include <cmath>
#include <limits>

#include "core/random.h"
#include "oracle.h"

namespace rnd1::test::oracle {
namespace {

constexpr double infinity = std::numeric_limits<double>::infinity();

void remove(std::vector<double>& values, std::span<const int32_t> ids) {
  for (const int32_t id : ids) values[static_cast<size_t>(id)] = -infinity;
}

/** With ties, all tokens that equal the k-th stay. */
void keepTopK(std::vector<double>& values, size_t k, bool ties) {
  if (k == 0 || k >= values.size()) return;
  const auto order = descending(values);
  const double worst = values[static_cast<size_t>(order[k - 1])];
  for (size_t rank = k; rank < order.size(); ++rank) {
    double& value = values[static_cast<size_t>(order[rank])];
    if (!ties || value < worst) value = -infinity;
  }
}

void keepTopP(std::vector<double>& values, float bound, size_t atLeast) {
  if (!(bound > 0 && bound < 1)) return;
  normalise(values);
  double before = 0;
  std::vector<double> kept(values.size(), -infinity);
  const auto order = descending(values);
  for (size_t rank = 0; rank < order.size(); ++rank) {
    const auto id = static_cast<size_t>(order[rank]);
    if (rank >= atLeast && static_cast<float>(before) > bound) break;
    kept[id] = values[id];
    before += std::exp(values[id]);
  }
  values = kept;
}

/** log-softmax, of nothing, too. */
void normaliseAny(std::vector<double>& values) {
  if (*std::max_element(values.begin(), values.end()) > -infinity) normalise(values);
}

}  // namespace

std::vector<double> filteredLogProbabilities(std::span<const float> logits, const SamplingPlan& plan) {
  std::vector<double> values(logits.size());
  const float temperature = std::max(plan.temperature, 1e-8f);
  // The reference divides in f32.
  for (size_t id = 0; id < logits.size(); ++id) values[id] = logits[id] / temperature;
  remove(values, plan.banned);
  const auto k = static_cast<size_t>(plan.topK);
  if (plan.topPFirst) {
    keepTopP(values, plan.topP, 1);
    keepTopK(values, k, true);
  } else {
    keepTopK(values, k, false);
    keepTopP(values, plan.topP, 2);
  }
  normalise(values);
  return values;
}

Score score(std::span<const float> logits, const SamplingPlan& plan, int32_t position) {
  Score result;
  result.logProbabilities = filteredLogProbabilities(logits, plan);
  result.keys = result.logProbabilities;
  if (!plan.greedy)
    for (size_t id = 0; id < logits.size(); ++id) {
      const auto token = static_cast<uint32_t>(id);
      const auto words = philox(plan.seed, drawCounter(token, static_cast<uint32_t>(position), plan.round));
      result.keys[id] -= std::log(-std::log(double{uniform(words[token & 3])}));
    }
  result.token = descending(result.keys)[0];

  auto values = result.logProbabilities;
  remove(values, plan.zeroed);
  normaliseAny(values);
  for (const double value : values)
    if (value != -infinity) result.entropy -= std::exp(value) * value;
  const auto order = descending(values);
  result.margin = std::exp(values[static_cast<size_t>(order[0])]);
  if (order.size() > 1) result.margin -= std::exp(values[static_cast<size_t>(order[1])]);
  result.confidences = values;
  if (plan.rawConfidence) {
    result.confidences.assign(logits.begin(), logits.end());
    remove(result.confidences, plan.banned);
    remove(result.confidences, plan.zeroed);
    normaliseAny(result.confidences);
  }
  for (double& confidence : result.confidences) confidence = std::max<double>(confidence, -FLT_MAX);
  return result;
}

std::vector<uint8_t> unmask(std::span<const ScoreRow> rows, std::span<const rnd1::Score> scores,
                            std::span<const uint8_t> eligible, const UnmaskPlan& plan) {
  std::vector<size_t> order;
  std::vector<uint8_t> committed(rows.size(), 0);
  for (size_t index = 0; index < rows.size(); ++index) {
    if (eligible[index] == mayCommit) order.push_back(index);
    const bool differs = scores[index].token != rows[index].token;
    committed[index] = eligible[index] == mayEdit && differs && scores[index].confidence > plan.editAbove;
  }
  // Larger is worse.
  const auto badness = [&](size_t index) -> double {
    const rnd1::Score& score = scores[index];
    const auto counter = orderCounter(static_cast<uint32_t>(rows[index].position), plan.round);
    const uint32_t word = philox(plan.seed, counter)[0];
    if (plan.order == UnmaskOrder::random) return word;
    if (plan.orderTemperature > 0) {
      const double key = plan.order == UnmaskOrder::confidence ? std::exp(double{score.confidence})
                         : plan.order == UnmaskOrder::margin   ? double{score.margin}
                                                               : -double{score.entropy};
      const double gumbel = -std::log(-std::log(double{uniform(word)}));
      return -static_cast<float>(key / plan.orderTemperature + gumbel);
    }
    return plan.order == UnmaskOrder::entropy      ? double{score.entropy}
           : plan.order == UnmaskOrder::confidence ? -double{score.confidence}
                                                   : -double{score.margin};
  };
  std::stable_sort(order.begin(), order.end(), [&](size_t a, size_t b) { return badness(a) < badness(b); });
  size_t count = 0;
  if (plan.limit == UnmaskLimit::keep) {
    const auto keep = static_cast<size_t>(plan.value);
    count = order.size() > keep ? order.size() - keep : 0;
  } else if (plan.limit == UnmaskLimit::gamma) {
    // As torch on a CPU: the running sum is a double stored as f32, everything else is f32.
    double sum = 0;
    float maximum = -std::numeric_limits<float>::infinity();
    for (const size_t index : order) {
      sum += scores[index].entropy;
      maximum = std::max(maximum, scores[index].entropy);
      if (static_cast<float>(sum) - maximum <= static_cast<float>(plan.value)) ++count;
    }
  } else {
    const auto bound = static_cast<float>(plan.value);
    std::vector<size_t> above;
    for (const size_t index : order)
      if (scores[index].confidence > bound || (!plan.strict && scores[index].confidence == bound))
        above.push_back(index);
    if (above.size() >= static_cast<size_t>(plan.atLeast)) {
      order = above;
      count = above.size();
    } else {
      count = static_cast<size_t>(plan.atLeast);
    }
  }
  for (size_t rank = 0; rank < std::min(count, order.size()); ++rank) committed[order[rank]] = 1;
  return committed;
}

}  // namespace rnd1::test::oracle
