#pragma once

#include <cfloat>
#include <cstdint>
#include <span>

/** What the ops of scoring and unmasking take and give. */
namespace rnd1 {

/** How the rows of one canvas are turned into predictions (docs/architecture.md, "Scores"). */
struct SamplingPlan {
  float temperature = 1;
  int32_t topK = 0;  // 0 = off
  float topP = 0;    // applied for 0 < topP < 1
  bool greedy = true;
  uint64_t seed = 0;
  uint32_t round = 0;
  std::span<const int32_t> banned;  // in the memory that the plan is in

  bool filters(int64_t vocabulary) const { return (topK > 0 && topK < vocabulary) || (topP > 0 && topP < 1); }
  /** The argmax of all tokens: no row of logits needs to exist as a whole. */
  bool greedyUnfiltered(int64_t vocabulary) const { return greedy && !filters(vocabulary); }
};

/** One masked position. */
struct ScoreRow {
  int32_t canvas = 0;    // index of its SamplingPlan
  int32_t position = 0;  // within its canvas
  int32_t token = 0;     // what the canvas holds there
  // False: the model predicts nothing there. It keeps `token`, with the lowest confidence and entropy 0.
  bool predicted = true;
};

struct Score {
  int32_t token = 0;
  float confidence = 0;    // log-probability of `token`
  float entropy = 0;       // nats
  float margin = 0;        // p₁ − p₂
  bool finite = true;      // false: the row had NaN or infinity, the other fields mean nothing
  bool committed = false;  // by `unmask`
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
  double value = 0;   // how many stay masked; γ in nats; ln τ as an f32
  uint64_t seed = 0;  // of UnmaskOrder::random
  uint32_t round = 0;
};

/** One canvas among the scored rows: [first, first + count), ascending by position. */
struct UnmaskCanvas {
  int32_t first = 0;
  int32_t count = 0;
  UnmaskPlan plan;
};

}  // namespace rnd1
