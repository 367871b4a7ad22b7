#pragma once

#include <compare>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/dtype.h"
#include "core/tensor.h"

/**
 * One interface, a dozen verbs. The graph (native/model/graph.cc) is written once over it; fusion lives
 * behind a verb. Rows of several canvases are packed one after another; offsets say where each begins.
 *
 * All pointers are memory of the backend unless said otherwise. Verbs may run asynchronously until
 * `synchronize`. After `reserve` they neither allocate nor throw, but for errors of a device.
 * Any element of a result depends on its own row (attention: on its own canvas) alone, bit for bit,
 * whatever the batch or the number of threads.
 */
namespace rnd1 {

/** Where canvases begin: canvas i has the rows [offsets[i], offsets[i + 1]). */
struct CanvasOffsets {
  const int32_t* offsets = nullptr;  // (count + 1)
  int64_t count = 0;
};

enum class AttentionMask { full };

/** How the columns of the QKV product divide into heads: queries, then keys, then values. */
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
  float* routerLogits = nullptr;  // (rows, experts), before the softmax
  int32_t* expertIds = nullptr;   // (rows, k), best first
  float* weights = nullptr;       // (rows, k)
  int32_t* offsets = nullptr;     // (experts + 1): expert e has the slots [offsets[e], offsets[e + 1])
  int32_t* slots = nullptr;       // (rows · k), ascending within an expert
  const int32_t* live = nullptr;  // as in Tensor: how many of the rows there are; set by `route`
};

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
  bool plain(int64_t vocabulary) const { return greedy && !filters(vocabulary); }
};

/** One masked position. Position 0 has no logits: it keeps `token`, with the lowest confidence and entropy 0.
 */
struct ScoreRow {
  int32_t canvas = 0;    // index of its SamplingPlan
  int32_t position = 0;  // within its canvas
  int32_t token = 0;     // what the canvas holds there
};

struct Score {
  int32_t token = 0;
  float confidence = 0;    // log-probability of `token`
  float entropy = 0;       // nats
  float margin = 0;        // p₁ − p₂
  bool finite = true;      // false: the row had NaN or infinity, the other fields mean nothing
  bool committed = false;  // by `unmask`
};

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

/** The largest shapes that verbs will see until the next `reserve`. */
struct Limits {
  int64_t rows = 0;  // packed rows
  int64_t scoredRows = 0;
  int64_t innerColumns = 0;  // longest dot product
  int64_t headDim = 0;
  int64_t experts = 0;
  int64_t expertWidth = 0;
  int64_t expertColumns = 0;  // of what experts give: down's rows
  int64_t expertsPerToken = 0;
  int64_t vocabulary = 0;
  bool filters = false;  // top-k, top-p or draws
};

/** What makes two sequences of verbs the same calls with the same arguments, memory being the same. */
struct SequenceKey {
  int64_t rows = 0;
  int64_t canvases = 0;
  bool filters = false;
  auto operator<=>(const SequenceKey&) const = default;
};

/** One launch of a kernel, and how long the device was at it, the wait for its turn included. */
struct TracedLaunch {
  std::string name;  // "experts (down)", "matmul 5120 x 2048"
  double seconds = 0;
};

/** What a device reaches at best: the limits that benches compare verbs with. */
struct Peaks {
  double copyBytesPerSecond = 0;         // bytes read and bytes written, of memory far larger than the caches
  double matrixOperationsPerSecond = 0;  // a multiply-add is two; from registers, with the instructions that
                                         // products in this arithmetic use
  double integerOperationsPerSecond = 0;  // the same of bytes, for quantized weights; 0 where there are none
};

class Backend {
 public:
  virtual ~Backend() = default;

  virtual std::string device() const = 0;          // "cpu", "cuda:0"
  virtual std::string instructionSet() const = 0;  // "avx2"; the GPU's name
  virtual int threads() const = 0;
  virtual DType dtype() const = 0;  // of the arithmetic

  // Memory. `allocate` gives 64-byte aligned memory and throws out_of_memory; `release` takes null.
  virtual void* allocate(size_t bytes) = 0;
  virtual void release(void* memory) noexcept = 0;
  virtual void upload(void* destination, const void* host, size_t bytes) = 0;
  virtual void download(void* host, const void* source, size_t bytes) = 0;
  virtual void synchronize() = 0;

  /** Memory of the host that copies from and to the backend are fastest with. `releaseHost` takes null. */
  virtual void* allocateHost(size_t bytes) = 0;
  virtual void releaseHost(void* memory) noexcept = 0;

  /** What `place` will be given in all; throws out_of_memory, naming bytes wanted and free, if it cannot
   * hold. */
  virtual void expectWeights(int64_t bytes, int64_t tensors) = 0;

  /** A mapped weight made usable by this backend: in place on the CPU, copied into the arena on a GPU. */
  virtual Weight place(const Weight& mapped) = 0;

  /** Sizes the scratch memory. Growing is allowed at any time outside a step. */
  virtual void reserve(const Limits& limits) = 0;

  /**
   * With how many rows or canvases verbs should be called for `count` of `most` that there may be: the same
   * number serves many counts where steps are recorded, and Tensor::live or empty canvases make up for it;
   * elsewhere `count` itself. Never below it; bucket(n, n) ≥ bucket(m, n) for m ≤ n.
   */
  virtual int64_t bucket(int64_t count, int64_t most) const = 0;

  /**
   * Runs `verbs`: calls of verbs below, none of which takes host memory. The same key promises the same calls
   * with the same arguments as long as nothing was allocated or released, so that a backend may record them
   * once and replay them, without calling `verbs`.
   */
  virtual void runSequence(const SequenceKey&, const std::function<void()>& verbs) { verbs(); }

  /** out[r] = table[tokens[r]], widened, not rounded: the residual stream. Ids were checked. */
  virtual void embed(const int32_t* tokens, const Weight& table, Tensor out) = 0;

  /** residual += delta (when given); out = rmsNorm(residual) ∘ scale, rounded. */
  virtual void addRmsNorm(Tensor residual, const Tensor* delta, const Weight& scale, float epsilon,
                          Tensor out) = 0;

  /** out[:, columns of weight i] = x · weights[i]ᵀ, the products side by side. */
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

  /** Router product, softmax over all experts, the best k (ties: lower id), grouping by expert. Fills
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
  virtual void logits(Tensor x, const Weight& head, Tensor out) = 0;

  /**
   * Scores of x · headᵀ. Row r of x predicts rows[r]. `plain`: all plans are (SamplingPlan::plain), and the
   * logits need not exist anywhere. A row's scores do not depend on the rows beside it, but `plain` may
   * change their rounding.
   */
  virtual void score(Tensor x, const Weight& head, std::span<const ScoreRow> rows,
                     std::span<const SamplingPlan> plans, bool plain, std::span<Score> scores) = 0;

  /** The same on given logits (rows, vocabulary), where −∞ is allowed and counts as banned. Overwrites them.
   */
  virtual void scoreLogits(Tensor logits, std::span<const ScoreRow> rows, std::span<const SamplingPlan> plans,
                           std::span<Score> scores) = 0;

  /**
   * The selection rule, canvas by canvas: sets `committed` of the scores whose `eligible` byte is set and
   * that the canvas' plan commits, and clears it in all its others. A canvas with a score that is not finite
   * commits nothing or anything.
   */
  virtual void unmask(std::span<const UnmaskCanvas> canvases, std::span<const ScoreRow> rows,
                      std::span<const uint8_t> eligible, std::span<Score> scores) = 0;

  /** From here on launches of this thread are timed, and sequences are not recorded. */
  virtual void startTrace() {}
  /** The launches since `startTrace`, in order; waits for them. Empty where a backend has none. */
  virtual std::vector<TracedLaunch> finishTrace() { return {}; }

  /**
   * Moves a border between two ways to compute the same bits, by its name in docs/kernels.md; false: there is
   * no such border here. For measurements.
   */
  virtual bool setBorder(std::string_view /*name*/, int64_t /*value*/) { return false; }

  /**
   * Measures this device while nothing else uses it; takes memory for the time being. `effort` 1 takes about
   * a second; work and memory shrink in proportion, and with them how true the figures are.
   */
  virtual Peaks measurePeaks(double effort) = 0;
};

/** CPU instruction sets this machine can run, best first: a subset of avx512, avx2, baseline. */
std::vector<std::string> cpuInstructionSets();

/** Those that this build has kernels for, whether or not this machine can run them. */
std::vector<std::string> compiledInstructionSets();

/** `instructionSet`: one of the above, or empty for the best (or what RND1_CPU names). Throws on others. */
std::unique_ptr<Backend> makeCpuBackend(DType dtype, int threads, const std::string& instructionSet = "");

}  // namespace rnd1
