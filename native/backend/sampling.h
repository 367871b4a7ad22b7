#pragma once

#include <cfloat>
#include <cstdint>
#include <span>

/** Arguments and results of the scoring and unmasking ops. */
namespace rnd1 {

/** How the rows of one canvas are turned into predictions (docs/architecture.md, "Scores"). */
struct SamplingPlan {
  float temperature = 1;
  int32_t topK = 0;  // 0 = off
  float topP = 0;    // applied for 0 < topP < 1
  bool greedy = true;
  uint64_t seed = 0;
  uint32_t round = 0;
  std::span<const int32_t> banned;  // in the same memory as the plan
  // Removed after the prediction, before confidence, entropy and margin; in the same memory.
  std::span<const int32_t> zeroed = {};
  bool topPFirst = false;      // top-p, of at least one token, then top-k with ties; else top-k, then top-p
  bool rawConfidence = false;  // of the logits before temperature and filters
  float guidance = 0;          // scale of `Ops::scoreGuided`

  float divisor() const { return temperature > 1e-8f ? temperature : 1e-8f; }
  bool filters(int64_t vocabulary) const { return (topK > 0 && topK < vocabulary) || (topP > 0 && topP < 1); }
  /** Plain argmax over all tokens: no complete row of logits is needed. */
  bool greedyUnfiltered(int64_t vocabulary) const {
    return greedy && !filters(vocabulary) && zeroed.empty() && !(rawConfidence && divisor() != 1);
  }
};

/** One scored position. */
struct ScoreRow {
  int32_t canvas = 0;    // index of its SamplingPlan
  int32_t position = 0;  // within its canvas
  int32_t token = 0;     // the canvas's token there
  // False: no row predicts this position. It keeps `token`, with the lowest confidence and entropy 0.
  bool predicted = true;
};

struct Score {
  int32_t token = 0;
  float confidence = 0;    // log-probability of `token`
  float entropy = 0;       // nats
  float margin = 0;        // p₁ − p₂
  bool finite = true;      // false: the row had NaN or infinity, the other fields are invalid
  bool committed = false;  // set by `unmask`
};

/** The score of a row that is not predicted. constexpr, so that kernels may call it. */
constexpr Score unpredicted(const ScoreRow& row) {
  Score score;
  score.token = row.token;
  score.confidence = score.margin = -FLT_MAX;
  return score;
}

enum class UnmaskOrder { entropy, confidence, margin, random };
enum class UnmaskLimit { keep, gamma, tau };

/** Which of the eligible positions of one canvas are committed. */
struct UnmaskPlan {
  UnmaskOrder order = UnmaskOrder::entropy;
  UnmaskLimit limit = UnmaskLimit::keep;
  double value = 0;   // by limit: positions that stay masked; γ in nats; ln τ as an f32
  uint64_t seed = 0;  // of random numbers in the order
  uint32_t round = 0;
  // UnmaskLimit::tau: whether a confidence of ln τ itself is too low, and how many positions are committed at
  // least: if fewer are above, the best ones instead.
  bool strict = false;
  int32_t atLeast = 1;
  float editAbove = FLT_MAX;  // confidence above which an editable position takes another token
  // Above 0: the order is by key / orderTemperature + Gumbel noise, the largest first: as many draws without
  // replacement from softmax(key / orderTemperature). Not for UnmaskOrder::random.
  double orderTemperature = 0;
};

/** What may happen to a scored position; as a byte. */
enum Eligibility : uint8_t {
  notEligible,
  mayCommit,  // within the plan's order and limit
  mayEdit,    // holds a token, replaced by a different prediction with a confidence above editAbove
};

/** One canvas among the scored rows: [first, first + count), ascending by position. */
struct UnmaskCanvas {
  int32_t first = 0;
  int32_t count = 0;
  UnmaskPlan plan;
};

}  // namespace rnd1
