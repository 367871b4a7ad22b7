#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "backend/backend.h"
#include "backend/cpu/float/kernels.h"

namespace rnd1::cpu {

/** Columns per partial statistic. Partial statistics are added in order, so sums do not depend on whether a
 * row is complete. */
constexpr int64_t statisticsColumns = 1024;

/**
 * Bans tokens, divides the logits of the tokens from `firstToken` on and returns their statistics: argmax is
 * a token id, minusInfinities does not count banned tokens.
 */
RowStatistics partialStatistics(const Kernels& kernels, std::span<float> logits, int32_t firstToken,
                                std::span<const int32_t> bannedTokens, float divisor);

/** The same for a complete row. */
RowStatistics rowStatistics(const Kernels& kernels, std::span<float> logits, std::span<const int32_t> banned,
                            float divisor);

/** Adds the statistics of the tokens that follow. */
void addStatistics(RowStatistics& total, const RowStatistics& next);

/** The score of the likeliest token. `givenLogits`: −∞ is allowed, as if banned. */
Score greedyScore(const RowStatistics& statistics, bool givenLogits);

/**
 * Turns one row of logits into a score: bans, temperature, filters, log-softmax, argmax or draw
 * (docs/architecture.md, "Scores"). Keeps its buffers between rows.
 */
class RowSampler {
 public:
  /** Reserves memory for filters over that many tokens: `score` does not allocate. */
  void reserve(int64_t vocabulary);

  /** Overwrites the logits. `givenLogits`: −∞ is allowed, as if banned. */
  Score score(const Kernels& kernels, std::span<float> logits, bool givenLogits, const ScoreRow& row,
              const SamplingPlan& plan);

 private:
  /** A logit that k tokens reach, or −∞; −∞ for k = 0. */
  float atMostKthLargest(std::span<const float> logits, int64_t k);
  /** `ties`: keep all that equal the last one. */
  void keepTopK(std::span<const float> logits, int64_t count, bool ties);
  void keepTopP(std::span<const float> logits, float bound, size_t atLeast);
  /** Statistics of the candidates, as of a row. */
  RowStatistics candidateStatistics(std::span<const float> logits) const;
  /** Chooses the candidates and returns their statistics. */
  RowStatistics filter(std::span<const float> logits, const SamplingPlan& plan);
  int32_t draw(const Kernels& kernels, std::span<const float> logits, bool filters,
               const RowStatistics& statistics, const ScoreRow& row, const SamplingPlan& plan) const;

  struct Bucket {
    double share = 0;  // of the probability
    size_t count = 0;  // of tokens
  };

  std::vector<int32_t> candidates_;  // token ids that the filters keep, ascending
  std::vector<int32_t> ranked_;      // indices into them
  std::vector<double> weights_;      // e^(logit − maximum) of each
  std::vector<float> maxima_;
  std::vector<Bucket> buckets_;
};

}  // namespace rnd1::cpu
