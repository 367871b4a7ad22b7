// Top-k and top-p on the CPU.
#include <algorithm>
#include <array>
#include <cmath>
#include <functional>
#include <limits>

#include "backend/cpu/sampling.h"

namespace rnd1::cpu {
namespace {

constexpr float infinity = std::numeric_limits<float>::infinity();

// Top-k divides tokens into groups: at least k of them reach the k-th largest of the groups' maxima.
constexpr size_t groupsAtOnce = 16, groupSize = 64;
// Top-p ranks buckets of tokens, by the distance of their logits from the largest one, and sorts only the
// bucket in which the nucleus ends. The last one holds all that are further away.
constexpr size_t buckets = 4096;
constexpr float bucketsPerNat = 128;

/** Larger logit first, lower id on ties: the order of top-k and top-p. */
struct BestFirst {
  const float* logits;
  bool operator()(int32_t a, int32_t b) const {
    return logits[a] > logits[b] || (logits[a] == logits[b] && a < b);
  }
};

}  // namespace

void RowSampler::reserve(int64_t vocabulary) {
  const auto count = static_cast<size_t>(vocabulary);
  candidates_.reserve(count);
  ranked_.reserve(count);
  weights_.reserve(count);
  maxima_.reserve((count / (groupsAtOnce * groupSize) + 1) * groupsAtOnce);
  buckets_.reserve(buckets);
}

float RowSampler::atMostKthLargest(std::span<const float> logits, int64_t k) {
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
    if (bucket.count == 0 || static_cast<float>(cumulative + bucket.share) <= bound) {
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
