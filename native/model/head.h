#pragma once

#include "checkpoint/loader.h"
#include "model/architecture.h"
#include "model/buffer.h"

namespace rnd1 {

/** Both ends of the graph: the embedding, and the final norm with the LM head. */
class Head {
 public:
  Head(Backend& backend, const Architecture& architecture)
      : backend_(backend), architecture_(architecture), logits_(backend) {}

  void loadEmbedding(Loader& loader);
  /** After the embedding, which is the LM head if tied. */
  void loadHead(Loader& loader);
  static int64_t tensors(const Architecture& architecture) { return architecture.tiedHead ? 2 : 3; }

  /** The rows of the residual stream (rows, hidden), in f32. */
  void embed(const int32_t* tokens, Tensor residual) { backend_.embed(tokens, embedding_, residual); }

  const Weight& norm() const { return norm_; }

  /** Logits (rows, vocabulary) of normed rows, valid until the next call; allocates if there were never as
   * many. */
  Tensor logits(Tensor normed);

  void score(Tensor normed, std::span<const ScoreRow> rows, std::span<const SamplingPlan> plans,
             bool greedyUnfiltered, std::span<Score> scores) {
    backend_.score(normed, lmHead_, rows, plans, greedyUnfiltered, scores);
  }

  void scoreGuided(Tensor normed, Tensor unconditional, std::span<const ScoreRow> rows,
                   std::span<const SamplingPlan> plans, std::span<Score> scores) {
    backend_.scoreGuided(normed, unconditional, lmHead_, rows, plans, scores);
  }

 private:
  Backend& backend_;
  const Architecture& architecture_;
  Weight embedding_;  // [vocabulary, hidden]
  Weight norm_;       // (hidden)
  Weight lmHead_;     // [vocabulary, hidden]
  Buffer<float> logits_;
};

}  // namespace rnd1
