#include "backend/cpu/sampling.h"

#include <algorithm>
#include <cfloat>
#include <cmath>
#include <functional>
#include <limits>

#include "core/random.h"

namespace rnd1::cpu {
namespace {

constexpr float infinity = std::numeric_limits<float>::infinity();

/** Larger logit first, lower id on ties: the order of top-k and top-p. */
struct BestFirst {
  const float* logits;
  bool operator()(int32_t a, int32_t b) const {
    return logits[a] > logits[b] || (logits[a] == logits[b] && a < b);
  }
};

/**
 * argmax over tokens of log p − log(−log u), ties to the lowest id: a draw from p. Tokens come in ascending
 * order. No random number is drawn for a token that could not win with the largest possible u.
 */
class GumbelArgmax {
 public:
  GumbelArgmax(const SamplingPlan& plan, const ScoreRow& row, double logSum)
      : plan_(plan), position_(static_cast<uint32_t>(row.position)), logSum_(logSum) {}

  void look(int32_t token, float logit) {
    const double logProbability = static_cast<double>(logit) - logSum_;
    if (logProbability + largestGumbel <= best_) return;
    const auto id = static_cast<uint32_t>(token);
    if (id >> 2 != block_) {
      block_ = id >> 2;
      words_ = philox(plan_.seed, drawCounter(id, position_, plan_.round));
    }
    const double value = logProbability - std::log(-std::log(static_cast<double>(uniform(words_[id & 3]))));
    if (value > best_) {
      best_ = value;
      token_ = token;
    }
  }

  int32_t token() const { return token_; }

 private:
  static constexpr double largestGumbel = 16.6356;  // −log(−log(1 − 2⁻²⁴)) = 16.63553…

  const SamplingPlan& plan_;
  const uint32_t position_;
  const double logSum_;
  double best_ = -std::numeric_limits<double>::infinity();
  int32_t token_ = 0;
  uint32_t block_ = ~0u;
  std::array<uint32_t, 4> words_{};
};

}  // namespace

void RowSampler::reserve(int64_t vocabulary) {
  const auto count = static_cast<size_t>(vocabulary);
  candidates_.reserve(count);
  ranked_.reserve(count);
  weights_.reserve(count);
  maxima_.reserve(count / 64 + 16);
  buckets_.reserve(4096);
}

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

float RowSampler::atMostKthLargest(std::span<const float> logits, int64_t k) {
  // Each token belongs to one of several groups; as many tokens as groups have at least their group's
  // maximum.
  constexpr size_t groupsAtOnce = 16, groupSize = 64;
  if (k <= 0) return -infinity;
  maxima_.clear();
  for (size_t first = 0; first < logits.size(); first += groupsAtOnce * groupSize) {
    std::array<float, groupsAtOnce> largest;
    largest.fill(-infinity);
    const size_t end = std::min(first + groupsAtOnce * groupSize, logits.size());
    size_t token = first;
    for (; token + groupsAtOnce <= end; token += groupsAtOnce)
      for (size_t group = 0; group < groupsAtOnce; ++group)
        largest[group] = logits[token + group] > largest[group] ? logits[token + group] : largest[group];
    for (; token < end; ++token) largest[0] = std::max(largest[0], logits[token]);
    maxima_.insert(maxima_.end(), largest.begin(), largest.end());
  }
  if (k > static_cast<int64_t>(maxima_.size())) return -infinity;
  const auto kth = maxima_.begin() + k - 1;
  std::nth_element(maxima_.begin(), kth, maxima_.end(), std::greater<>());
  return *kth;
}

void RowSampler::keepTopK(std::span<const float> logits, int64_t count, bool ties) {
  if (count >= static_cast<int64_t>(candidates_.size())) return;
  const auto last = candidates_.begin() + count - 1;
  std::nth_element(candidates_.begin(), last, candidates_.end(), BestFirst{logits.data()});
  const float worst = logits[*last];
  candidates_.erase(ties ? std::partition(last + 1, candidates_.end(),
                                          [&](int32_t token) { return logits[token] == worst; })
                         : last + 1,
                    candidates_.end());
  std::sort(candidates_.begin(), candidates_.end());
}

void RowSampler::keepTopP(std::span<const float> logits, float bound, size_t atLeast) {
  // Tokens are ranked bucket by bucket, and only those of the bucket in which the nucleus ends are sorted.
  constexpr size_t buckets = 4096;
  constexpr float bucketsPerNat = 128;
  float maximum = -infinity;
  for (const int32_t token : candidates_) maximum = std::max(maximum, logits[token]);
  const auto bucketOf = [&](int32_t token) {
    return static_cast<size_t>(std::min((maximum - logits[token]) * bucketsPerNat, float{buckets - 1}));
  };
  double sum = 0;
  weights_.clear();
  for (const int32_t token : candidates_) {
    weights_.push_back(std::exp(static_cast<double>(logits[token]) - maximum));
    sum += weights_.back();
  }
  // In f32, as rank j stays while the sum up to rank j − 1 is ≤ p in f32. Their sums in f64 are exact, in any
  // order, but for shares below 2⁻³⁰.
  const auto shareOf = [&](size_t index) { return static_cast<float>(weights_[index] / sum); };
  buckets_.assign(buckets, {});
  for (size_t i = 0; i < candidates_.size(); ++i) {
    Bucket& bucket = buckets_[bucketOf(candidates_[i])];
    bucket.share += shareOf(i);
    ++bucket.count;
  }
  double cumulative = 0;
  size_t kept = 0;
  for (size_t end = 0; end < buckets; ++end) {
    const Bucket& bucket = buckets_[end];
    if (static_cast<float>(cumulative + bucket.share) <= bound) {
      cumulative += bucket.share;
      kept += bucket.count;
      continue;
    }
    ranked_.clear();
    for (size_t i = 0; i < candidates_.size(); ++i)
      if (bucketOf(candidates_[i]) == end) ranked_.push_back(static_cast<int32_t>(i));
    const BestFirst bestFirst{logits.data()};
    std::sort(ranked_.begin(), ranked_.end(),
              [&](int32_t a, int32_t b) { return bestFirst(candidates_[a], candidates_[b]); });
    int32_t last = -1;
    for (const int32_t index : ranked_) {
      if (kept >= atLeast && static_cast<float>(cumulative) > bound) {
        std::erase_if(candidates_, [&](int32_t token) {
          const size_t its = bucketOf(token);
          return its > end || (its == end && (last < 0 || bestFirst(last, token)));
        });
        return;
      }
      cumulative += shareOf(static_cast<size_t>(index));
      last = candidates_[index];
      ++kept;
    }
  }
}

RowStatistics RowSampler::filter(std::span<const float> logits, const SamplingPlan& plan) {
  const bool topP = plan.topP > 0 && plan.topP < 1;
  const bool topPFirst = topP && plan.topPFirst;
  // Ascending by id, as they stay: sums do not depend on the order of a selection, and ties go to the lowest.
  candidates_.clear();
  const float bound = topPFirst ? -infinity : atMostKthLargest(logits, plan.topK);
  for (size_t token = 0; token < logits.size(); ++token)
    if (logits[token] >= bound && logits[token] > -infinity)
      candidates_.push_back(static_cast<int32_t>(token));
  if (topPFirst) keepTopP(logits, plan.topP, 1);
  if (plan.topK > 0) keepTopK(logits, plan.topK, plan.topPFirst);
  if (topP && !plan.topPFirst) keepTopP(logits, plan.topP, 2);
  return candidateStatistics(logits);
}

RowStatistics RowSampler::candidateStatistics(std::span<const float> logits) const {
  RowStatistics result{-infinity, -infinity, 0, false, 0, 0, 0};
  for (const int32_t token : candidates_) {
    const float logit = logits[token];
    if (logit > result.maximum) {
      result.second = result.maximum;
      result.maximum = logit;
      result.argmax = token;
    } else if (logit > result.second) {
      result.second = logit;
    }
  }
  for (const int32_t token : candidates_) {
    const double difference = static_cast<double>(logits[token]) - result.maximum;
    const double probability = std::exp(difference);
    result.sum += probability;
    result.weighted += probability * difference;
  }
  return result;
}

}  // namespace rnd1::cpu
