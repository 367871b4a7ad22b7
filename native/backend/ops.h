#pragma once

#include <cstdint>
#include <span>

#include "backend/sampling.h"
#include "core/dtype.h"
#include "core/tensor.h"

/**
 * The dozen operations of a forward pass. The graph (native/model/graph.cc) is written once over them; fusion
 * happens inside an op. Rows of several canvases are packed one after another; offsets hold the start of
 * each.
 *
 * All pointers are memory of the backend unless said otherwise. Ops may run asynchronously until
 * `Backend::synchronize`. After `Backend::reserve` they do not allocate, and throw device errors only. Each
 * element of a result depends on its own row only (attention: its own canvas), bit for bit, whatever the
 * batch or the number of threads.
 */
namespace rnd1 {

/** Starts of canvases: canvas i has the rows [offsets[i], offsets[i + 1]). */
struct CanvasOffsets {
  const int32_t* offsets = nullptr;  // (count + 1)
  int64_t count = 0;
};

enum class AttentionMask { full };

/** Throws Error unsupported_model for a mask that is not implemented, so that none is ignored silently. */
void checkMask(AttentionMask mask);

/** How the columns of the QKV matmul divide into heads: queries, then keys, then values. */
struct HeadLayout {
  int64_t heads = 0;
  int64_t keyValueHeads = 0;
  int64_t headDim = 0;

  int64_t queryColumns() const { return heads * headDim; }
  int64_t keyValueColumns() const { return keyValueHeads * headDim; }
  int64_t columns() const { return queryColumns() + 2 * keyValueColumns(); }
};

/** The three projections of one expert (or of a dense MLP): gate and up [width, hidden], down [hidden,
 * width]. */
struct ExpertWeights {
  Weight gate, up, down;
};

struct RouteOptions {
  int64_t expertsPerToken = 0;
  bool normalise = false;                  // divide the k weights by their sum
  const int32_t* forcedExperts = nullptr;  // (rows, k): use these ids instead of the best k; null = best k
};

/** Rows grouped by expert. A slot is row · k + rank. */
struct Dispatch {
  int64_t rows = 0;
  int64_t expertsPerToken = 0;
  int64_t experts = 0;
  float* routerLogits = nullptr;       // (rows, experts), before the softmax
  int32_t* expertIds = nullptr;        // (rows, k), best first
  float* weights = nullptr;            // (rows, k)
  int32_t* offsets = nullptr;          // (experts + 1): expert e has the slots [offsets[e], offsets[e + 1])
  int32_t* slots = nullptr;            // (rows · k), ascending within an expert
  const int32_t* validRows = nullptr;  // as in Tensor; set by `route`
};

class Ops {
 public:
  virtual ~Ops() = default;

  /** out[r] = table[tokens[r]], widened, not rounded: the residual stream. Ids are valid. */
  virtual void embed(const int32_t* tokens, const Weight& table, Tensor out) = 0;

  /** residual += delta (when given); out = rmsNorm(residual) ∘ scale, rounded. */
  virtual void addRmsNorm(Tensor residual, const Tensor* delta, const Weight& scale, float epsilon,
                          Tensor out) = 0;

  /** out[:, columns of weight i] = x · weights[i]ᵀ, side by side. */
  virtual void matmul(Tensor x, std::span<const Weight> weights, Tensor out) = 0;

  /**
   * In place: RMSNorm of every query and key head, then rotary embedding (half-split); all three parts
   * rounded. positions (rows); rotary (positions, headDim): cosines of the headDim / 2 angles, then their
   * sines.
   */
  virtual void normRope(Tensor qkv, const HeadLayout& layout, const Weight& queryNorm, const Weight& keyNorm,
                        float epsilon, const int32_t* positions, Tensor rotary) = 0;

  /**
   * out = softmax(scale · q kᵀ) v per head and canvas, rounded; grouped queries share a key/value head.
   * logSumExp (query rows, heads), optional.
   */
  virtual void attention(Tensor query, Tensor key, Tensor value, const HeadLayout& layout,
                         CanvasOffsets queryOffsets, CanvasOffsets keyOffsets, AttentionMask mask,
                         float scale, Tensor out, float* logSumExp) = 0;

  /** Router matmul, softmax over all experts, the best k (ties: lower id), grouping by expert. Fills
   * `dispatch`. */
  virtual void route(Tensor x, const Weight& router, const RouteOptions& options, Dispatch& dispatch) = 0;

  /**
   * out = Σ over the row's experts, in order of id: weight · down(silu(gate · x) ∘ (up · x)).
   * activated (rows · k, width): scratch.
   */
  virtual void experts(Tensor x, std::span<const ExpertWeights> weights, const Dispatch& dispatch,
                       Tensor activated, Tensor out) = 0;

  /** out = down(silu(gate · x) ∘ (up · x)). activated (rows, width): scratch. */
  virtual void mlp(Tensor x, const ExpertWeights& weights, Tensor activated, Tensor out) = 0;

  /** out[r] = x[rows[r]]. */
  virtual void gatherRows(Tensor x, const int32_t* rows, Tensor out) = 0;

  /** out = x · headᵀ, f32. */
  virtual void logits(Tensor x, const Weight& lmHead, Tensor out) = 0;

  /**
   * Scores of x · headᵀ. Row r of x predicts rows[r]. `greedyUnfiltered`: SamplingPlan::greedyUnfiltered
   * holds for all plans, so logits need not be stored. A row's scores do not depend on the other rows, but
   * `greedyUnfiltered` may change their rounding.
   */
  virtual void score(Tensor x, const Weight& lmHead, std::span<const ScoreRow> rows,
                     std::span<const SamplingPlan> plans, bool greedyUnfiltered, std::span<Score> scores) = 0;

  /** The same for given logits (rows, vocabulary), in which −∞ means banned. Overwrites them. */
  virtual void scoreLogits(Tensor logits, std::span<const ScoreRow> rows, std::span<const SamplingPlan> plans,
                           std::span<Score> scores) = 0;

  /**
   * The unmasking rule, per canvas: sets `committed` in the scores that are eligible (byte set) and that the
   * canvas's plan commits, and clears it in the canvas's other scores. If a score of a canvas is not finite,
   * its `committed` flags are unspecified.
   */
  virtual void unmask(std::span<const UnmaskCanvas> canvases, std::span<const ScoreRow> rows,
                      std::span<const uint8_t> eligible, std::span<Score> scores) = 0;
};

}  // namespace rnd1
