#include "backend/cpu/sampling.h"

#include <algorithm>
#include <cfloat>
#include <cmath>
#include <limits>

#include "core/random.h"

namespace rnd1::cpu {
namespace {

constexpr float infinity = std::numeric_limits<float>::infinity();

/** argmax over tokens of log p − log(−log u), ties to the first: a draw from p. */
class GumbelArgmax {
 public:
  GumbelArgmax(const SamplingPlan& plan, const ScoreRow& row, double logSum)
      : plan_(plan), position_(static_cast<uint32_t>(row.position)), logSum_(logSum) {}

  void look(int32_t token, float logit) {
    const auto id = static_cast<uint32_t>(token);
    const auto words = philox(plan_.seed, drawCounter(id, position_, plan_.round));
    const double logProbability = static_cast<double>(logit) - logSum_;
    const double value = logProbability - std::log(-std::log(static_cast<double>(uniform(words[id & 3]))));
    if (value > best_) {
      best_ = value;
      token_ = token;
    }
  }

  int32_t token() const { return token_; }

 private:
  const SamplingPlan& plan_;
  const uint32_t position_;
  const double logSum_;
  double best_ = -std::numeric_limits<double>::infinity();
  int32_t token_ = 0;
};

}  // namespace

RowStatistics partialStatistics(const Kernels& kernels, std::span<float> logits, int32_t firstToken,
                                std::span<const int32_t> bannedTokens, float divisor) {
  const auto count = static_cast<int64_t>(logits.size());
  bool bannedNotFinite = false;
  int64_t banned = 0;
  for (const int32_t token : bannedTokens) {
    const int64_t index = int64_t{token} - firstToken;
    if (index < 0 || index >= count || logits[index] == -infinity) continue;  // banned already, or −∞
    bannedNotFinite = bannedNotFinite || !std::isfinite(logits[index]);
    logits[index] = -infinity;
    ++banned;
  }
  RowStatistics statistics;
  kernels.statistics(logits.data(), count, divisor, &statistics);
  statistics.argmax += firstToken;
  statistics.minusInfinities -= banned;
  statistics.notFinite = statistics.notFinite || bannedNotFinite;
  return statistics;
}

void addStatistics(RowStatistics& total, const RowStatistics& next) {
  total.notFinite = total.notFinite || next.notFinite;
  total.minusInfinities += next.minusInfinities;
  if (total.notFinite || next.maximum == -infinity) return;
  // Rescales sums to another maximum: Σ e^(z − m') (z − m') with m' = m + shift.
  const auto rebase = [](RowStatistics& sums, double shift) {
    const double factor = std::exp(-shift);
    sums.weighted = factor * (sums.weighted - shift * sums.sum);
    sums.sum *= factor;
  };
  if (total.maximum == -infinity) {
    const int64_t minusInfinities = total.minusInfinities;
    total = next;
    total.minusInfinities = minusInfinities;
    return;
  }
  RowStatistics added = next;
  if (next.maximum > total.maximum) {
    rebase(total, static_cast<double>(next.maximum) - total.maximum);
    total.second = std::max(total.maximum, next.second);
    total.maximum = next.maximum;
    total.argmax = next.argmax;
  } else {
    rebase(added, static_cast<double>(total.maximum) - next.maximum);
    total.second = std::max(total.second, next.maximum);
  }
  total.sum += added.sum;
  total.weighted += added.weighted;
}

RowStatistics rowStatistics(const Kernels& kernels, std::span<float> logits, std::span<const int32_t> banned,
                            float divisor) {
  const auto count = static_cast<int64_t>(logits.size());
  const auto part = [&](int64_t first) {
    return partialStatistics(kernels, logits.subspan(first, std::min(statisticsColumns, count - first)),
                             static_cast<int32_t>(first), banned, divisor);
  };
  RowStatistics statistics = part(0);
  for (int64_t first = statisticsColumns; first < count; first += statisticsColumns)
    addStatistics(statistics, part(first));
  return statistics;
}

Score greedyScore(const RowStatistics& statistics, bool givenLogits) {
  Score score;
  score.finite = !statistics.notFinite && statistics.maximum > -infinity &&
                 (givenLogits || statistics.minusInfinities == 0);
  if (!score.finite) return score;
  const double logSum = std::log(statistics.sum);
  score.token = statistics.argmax;
  score.confidence = static_cast<float>(-logSum);
  score.entropy = static_cast<float>(logSum - statistics.weighted / statistics.sum);
  score.margin = static_cast<float>(
      (1 - std::exp(static_cast<double>(statistics.second) - statistics.maximum)) / statistics.sum);
  return score;
}

Score RowSampler::score(const Kernels& kernels, std::span<float> logits, bool givenLogits,
                        const ScoreRow& row, const SamplingPlan& plan) {
  const auto count = static_cast<int64_t>(logits.size());
  const RowStatistics all = rowStatistics(kernels, logits, plan.banned, plan.divisor());
  Score score = greedyScore(all, givenLogits);
  if (!score.finite || plan.greedyUnfiltered(count)) return score;
  const bool filters = plan.filters(count);
  RowStatistics kept = filters ? filter(logits, plan) : all;
  const int32_t token = plan.greedy ? kept.argmax : draw(kernels, logits, filters, kept, row, plan);
  const bool raw = plan.rawConfidence && (filters || plan.divisor() != 1);
  if (!plan.zeroed.empty()) {
    for (const int32_t id : plan.zeroed) logits[id] = -infinity;
    if (filters) {
      std::erase_if(candidates_, [&](int32_t id) { return logits[id] == -infinity; });
      kept = candidateStatistics(logits);
    } else {
      kept = rowStatistics(kernels, logits, {}, 1);
    }
  }
  if (kept.maximum > -infinity) score = greedyScore(kept, true);
  score.token = token;
  if (logits[token] == -infinity) {
    score.confidence = -FLT_MAX;
    if (kept.maximum == -infinity) score.entropy = score.margin = 0;
    return score;
  }
  // Divided by the reciprocal of the temperature, the tempered logits are the raw ones again.
  if (raw) kept = rowStatistics(kernels, logits, {}, 1 / plan.divisor());
  score.confidence =
      static_cast<float>(static_cast<double>(logits[token]) - kept.maximum - std::log(kept.sum));
  return score;
}

int32_t RowSampler::draw(const Kernels& kernels, std::span<const float> logits, bool filters,
                         const RowStatistics& statistics, const ScoreRow& row,
                         const SamplingPlan& plan) const {
  GumbelArgmax best(plan, row, statistics.maximum + std::log(statistics.sum));
  DrawRow part{nullptr, statistics.maximum, plan.seed, static_cast<uint32_t>(row.position), plan.round};
  const auto vocabulary = static_cast<int64_t>(logits.size());
  std::array<float, statisticsColumns> kept;
  std::array<int32_t, statisticsColumns> likely;
  auto candidate = candidates_.begin();
  float largest = -infinity;
  for (int64_t first = 0; first < vocabulary; first += statisticsColumns) {
    const int64_t count = std::min(statisticsColumns, vocabulary - first);
    part.logits = logits.data() + first;
    if (filters) {
      if (candidate == candidates_.end()) break;
      if (*candidate >= first + count) continue;
      kept.fill(-infinity);
      for (; candidate != candidates_.end() && *candidate < first + count; ++candidate)
        kept[*candidate - first] = logits[*candidate];
      part.logits = kept.data();
    }
    const int64_t found = kernels.likelyDraws(part, first, count, &largest, likely.data());
    for (int64_t i = 0; i < found; ++i) best.look(likely[i], logits[likely[i]]);
  }
  return best.token();
}

}  // namespace rnd1::cpu
