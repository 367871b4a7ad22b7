#pragma once

#include <cstdint>
#include <span>

#include "backend/sampling.h"
#include "backend/visible_key_count.h"
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
 *
 * Tensors are f32. Those that are rounded, and the x of a matmul or of gatherRows, may have the backend's
 * activationDtype instead; the scratch `activated` is any memory.
 */
namespace rnd1 {

/** Starts of canvases: canvas i has the rows [offsets[i], offsets[i + 1]). */
struct CanvasOffsets {
  const int32_t* offsets = nullptr;  // (count + 1)
  int64_t count = 0;
};

/**
 * The keys that a query sees: key j is visible to query i if j div block ≤ i div block, counted from the
 * beginning of their canvas. 1 is causal, 0 makes all keys visible.
 */
struct AttentionMask {
  int32_t block = 0;

  bool operator==(const AttentionMask&) const = default;

  /** How many of a canvas' keys the query at a position sees: always the first ones. */
  constexpr int32_t visible(int32_t position, int32_t keys) const {
    return static_cast<int32_t>(visibleKeyCount(block, position, keys));
  }
};

/** How the columns of the QKV matmul divide into heads: queries, then keys, then values. */
struct HeadLayout {
  int64_t heads = 0;
  int64_t keyValueHeads = 0;
  int64_t headDim = 0;

  int64_t queryColumns() const { return heads * headDim; }
  int64_t keyValueColumns() const { return keyValueHeads * headDim; }
  int64_t columns() const { return queryColumns() + 2 * keyValueColumns(); }
};

/**
 * A canvas' part of a key/value cache: of every layer, keys (positions, keyValueColumns), then values
 * alike, in the compute dtype, which holds them exactly.
 */
struct CanvasCache {
  std::byte* data = nullptr;  // null: the canvas has no cache
  int32_t positions = 0;      // of the cache
  int32_t keys = 0;           // of the canvas: the first ones
};

/** The caches of the canvases of a pass, as one layer sees them. */
struct LayerCaches {
  const CanvasCache* canvases = nullptr;  // (canvases); null: none has a cache
  int64_t columns = 0;                    // of keys and values of the layers before, per position

  /** The layer's keys; its values follow. For canvases that have a cache. */
  constexpr std::byte* keys(const CanvasCache& canvas, int64_t elementBytes) const {
    return canvas.data + canvas.positions * columns * elementBytes;
  }
};

/** The queries of a pass, and the keys that they are compared to. */
struct AttentionRows {
  CanvasOffsets queries;
  const int32_t* positions = nullptr;  // (query rows), within their canvas, ascending
  CanvasOffsets keys;                  // of the canvases that have no cache: all positions
  LayerCaches caches;
};

/** The three projections of one expert (or of a dense MLP): gate and up [width, hidden], down [hidden,
 * width]. */
struct ExpertWeights {
  Weight gate, up, down;
};

constexpr int32_t maxExpertGroups = 64;

enum class RouterScore : int32_t { softmax, sigmoid };

/** Of several groups of adjacent experts only the `kept` best take part; a group's value is the sum of its
 * two largest selection scores. 0: no groups. */
struct ExpertGroups {
  int32_t count = 0;  // at most maxExpertGroups
  int32_t kept = 0;
};

struct RouteOptions {
  int64_t expertsPerToken = 0;
  bool normalise = false;                  // divide the k weights by their sum
  const int32_t* forcedExperts = nullptr;  // (rows, k): use these ids instead of the best k; null = best k
  RouterScore score = RouterScore::softmax;
  // For sigmoid scores only: (experts), added to the scores for the selection, but not in the weights.
  Weight selectionBias = {};
  ExpertGroups groups = {};
  float scale = 1;  // of the weights, after normalisation
};

/** Added to the sum that weights are divided by: the reference of sigmoid routers (LLaDA2) does so. */
constexpr float smallestSum(RouterScore score) { return score == RouterScore::sigmoid ? 1e-20f : 0; }

/** Throws Error unsupported_model for options that contradict each other or the number of experts. */
void checkRoute(const RouteOptions& options, int64_t experts);

/** What `normRope` applies before the rotary embedding. Weights without data are not applied. */
struct HeadNorms {
  Weight bias = {};                     // (layout.columns()), added to queries, keys and values
  Weight queryNorm = {}, keyNorm = {};  // (headDim), both or neither
  float epsilon = 0;
};

/** Rows grouped by expert. A slot is row · k + rank. */
struct Dispatch {
  int64_t rows = 0;
  int64_t expertsPerToken = 0;
  int64_t experts = 0;
  float* routerLogits = nullptr;       // (rows, experts), before softmax or sigmoid
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
   * In place: bias, RMSNorm of every query and key head, then rotary embedding (half-split) of the first
   * rotary.columns ≤ headDim columns of these heads; all three parts rounded. positions (rows); rotary
   * (positions, even): cosines of the angles, then their sines. out: qkv, or qkv.narrowed(activationDtype).
   */
  virtual void normRope(Tensor qkv, const HeadLayout& layout, const HeadNorms& norms,
                        const int32_t* positions, Tensor rotary, Tensor out) = 0;

  /** Writes the rows of canvases that have a cache to their positions there. Values are rounded already. */
  virtual void cacheKeys(Tensor key, Tensor value, CanvasOffsets canvases, const int32_t* positions,
                         const LayerCaches& caches) = 0;

  /**
   * out = softmax(scale · q kᵀ) v per head and canvas, rounded; grouped queries share a key/value head. Keys
   * and values are rows of `key` and `value`, or in the canvas' cache: the same bits either way. A row
   * depends on its query and the keys that it sees. logSumExp (query rows, heads), optional.
   */
  virtual void attention(Tensor query, Tensor key, Tensor value, const HeadLayout& layout,
                         const AttentionRows& rows, AttentionMask mask, float scale, Tensor out,
                         float* logSumExp) = 0;

  /** Router matmul, scores of all experts, the best k (ties: lower id, lower group), grouping by expert.
   * Fills `dispatch`. */
  virtual void route(Tensor x, const Weight& router, const RouteOptions& options, Dispatch& dispatch) = 0;

  /**
   * out = Σ over the row's experts, in order of id: weight · down(silu(gate · x) ∘ (up · x)).
   * activated (rows · k, width): scratch.
   */
  virtual void experts(Tensor x, std::span<const ExpertWeights> weights, const Dispatch& dispatch,
                       Tensor activated, Tensor out) = 0;

  /** out = down(silu(gate · x) ∘ (up · x)). activated (rows, width): scratch. */
  virtual void mlp(Tensor x, const ExpertWeights& weights, Tensor activated, Tensor out) = 0;

  /** out += x. */
  virtual void add(Tensor x, Tensor out) = 0;

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

  /**
   * Scores of u + (guidance + 1) · (l − u), in f32, with l = x · headᵀ and u = unconditional · headᵀ: two
   * tensors of the same shape and number of valid rows.
   */
  virtual void scoreGuided(Tensor x, Tensor unconditional, const Weight& lmHead,
                           std::span<const ScoreRow> rows, std::span<const SamplingPlan> plans,
                           std::span<Score> scores) = 0;

  /** The same as `score` for given logits (rows, vocabulary), in which −∞ means banned. Overwrites them. */
  virtual void scoreLogits(Tensor logits, std::span<const ScoreRow> rows, std::span<const SamplingPlan> plans,
                           std::span<Score> scores) = 0;

  /**
   * The unmasking rule, per canvas: sets `committed` in the scores that the canvas's plan commits or edits,
   * given an Eligibility each, and clears it in the canvas's other scores. If a score of a canvas is not
   * finite, its `committed` flags are unspecified.
   */
  virtual void unmask(std::span<const UnmaskCanvas> canvases, std::span<const ScoreRow> rows,
                      std::span<const uint8_t> eligible, std::span<Score> scores) = 0;
};

}  // namespace rnd1
