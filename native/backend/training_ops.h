#pragma once

#include <cstdint>
#include <span>

#include "backend/ops.h"

/**
 * The operations of a training step beside those of the forward pass: backward passes, losses, the optimizer.
 * Everything is f32 and in backend memory unless said otherwise. Weights of products may be bf16: the results
 * have the bits of those with the weights widened. `dx` is the gradient of the total loss with respect to x.
 *
 * Gradients of weights are added to; a null one is not wanted. They are sums over rows, in a fixed order:
 * rows in blocks of `gradientBlock` from the first packed row on, their sums one after another (scales of
 * norms and biases: blocks of `normBlock`). So they have the same bits for any number of threads, and if a
 * batch is split into micro-batches of a multiple of `gradientBlock` rows each. Gradients of activations
 * depend on their own row only (attention: their canvas).
 */
namespace rnd1 {

constexpr int64_t gradientBlock = 256, normBlock = 64;

/** The rows whose logits count. */
struct ScoredRows {
  const int32_t* rows = nullptr;     // (count) packed rows, strictly ascending
  const int32_t* targets = nullptr;  // (count) token ids
  const float* weights = nullptr;    // (count) of the cross entropies
  int64_t count = 0;
  int64_t packedRows = 0;  // of the batch, scored or not; 0: unknown
};

struct HeadNormGradients {
  float* bias = nullptr;                           // (layout.columns())
  float *queryNorm = nullptr, *keyNorm = nullptr;  // (headDim)
};

/** Of an expert or a dense MLP; shapes of its weights. */
struct ExpertGradients {
  float *gate = nullptr, *up = nullptr, *down = nullptr;
};

/** What the losses of routers need of one layer: sums over rows in doubles, on the host. */
struct RouterSums {
  double* probabilities = nullptr;  // (experts) Σ softmax of the logits
  double* chosen = nullptr;         // (experts) rows that chose the expert
  double squaredLogSumExp = 0;      // Σ (log Σ exp logits)²
};

/** Gradients of the losses of routers with respect to one layer's logits l with probabilities p. */
struct RouterLosses {
  const float* balance = nullptr;  // (experts) b: adds p ∘ (b − ⟨b, p⟩); null: no load-balance loss
  float z = 0;                     // adds z · log Σ exp l · p
};

/** A parameter for AdamW: all have `count` elements. */
struct AdamTensor {
  float* value = nullptr;
  const float* gradient = nullptr;
  float *first = nullptr, *second = nullptr;  // moments
  int64_t count = 0;
  double learningRate = 0;
  double weightDecay = 0;
};

struct AdamStep {
  double beta1 = 0.9, beta2 = 0.95, epsilon = 1e-8;
  int64_t step = 1;          // from 1
  double gradientScale = 1;  // of clipping
};

class TrainingOps {
 public:
  virtual ~TrainingOps() = default;

  virtual void copy(Tensor x, Tensor out) = 0;
  virtual void clear(std::span<float> values) = 0;
  /** sums[i] += values[i]. */
  virtual void accumulate(std::span<const float> values, std::span<float> sums) = 0;
  /** out[r] += vector. */
  virtual void addVector(const float* vector, Tensor out) = 0;

  /** As Ops::matmul. Every element has the same bits, whatever the other rows. */
  virtual void matmul(Tensor x, std::span<const Weight> weights, Tensor out) = 0;

  /**
   * The cross entropies of softmax(x · headᵀ) at the targets, in nats, on the host, and the gradients of
   * Σ weight · cross entropy. x and dx, which is overwritten, hold the scored rows only; without dx, no
   * gradients are wanted. Logits of at most a block of the vocabulary are in memory, or all of them if they
   * are few.
   */
  virtual void crossEntropy(Tensor x, const Weight& head, const ScoredRows& rows, double* crossEntropies,
                            Tensor* dx, float* dHead) = 0;

  /** dresidual += the gradient through rmsNorm(residual) ∘ scale; `residual` is what the norm read. */
  virtual void rmsNormBackward(Tensor residual, const Weight& scale, float epsilon, Tensor dout,
                               Tensor dresidual, float* dScale) = 0;

  /**
   * Of out = [x · weights[0]ᵀ, x · weights[1]ᵀ, …]: dx (+)= dout · weights, dWeights[i] += doutᵀ x. dx is
   * added to if `adds`, and not wanted if null.
   */
  virtual void matmulBackward(Tensor x, std::span<const Weight> weights, Tensor dout, Tensor* dx, bool adds,
                              std::span<float* const> dWeights) = 0;

  /**
   * In place of the gradient of `normRope`'s result, that of its argument. before: the query and key columns
   * with bias, before norms; not needed without norms.
   */
  virtual void normRopeBackward(Tensor before, const HeadLayout& layout, const HeadNorms& norms,
                                const int32_t* positions, Tensor rotary, Tensor dQkv,
                                const HeadNormGradients& gradients) = 0;

  /**
   * qkv: what `attention` read, with its results `out` and `logSumExp`. All canvases are computed whole.
   * Overwrites dQkv.
   */
  virtual void attentionBackward(Tensor qkv, Tensor out, const float* logSumExp, Tensor dout,
                                 const HeadLayout& layout, CanvasOffsets canvases, AttentionMask mask,
                                 float scale, Tensor dQkv) = 0;

  /** As Ops::experts, but keeps gate · x and up · x (slots in the order of the dispatch, width). */
  virtual void experts(Tensor x, std::span<const ExpertWeights> weights, const Dispatch& dispatch,
                       Tensor gate, Tensor up, Tensor out) = 0;

  /** As Ops::mlp, but keeps gate · x and up · x (rows, width). */
  virtual void mlp(Tensor x, const ExpertWeights& weights, Tensor gate, Tensor up, Tensor out) = 0;

  /**
   * Adds to dx, overwrites gate and up, and writes the gradients of the routing weights (rows, k).
   */
  virtual void expertsBackward(Tensor x, std::span<const ExpertWeights> weights, const Dispatch& dispatch,
                               Tensor gate, Tensor up, Tensor dout, Tensor dx, float* dRoutingWeights,
                               std::span<const ExpertGradients> gradients) = 0;

  /** The same for a dense MLP. */
  virtual void mlpBackward(Tensor x, const ExpertWeights& weights, Tensor gate, Tensor up, Tensor dout,
                           Tensor dx, const ExpertGradients& gradients) = 0;

  /**
   * Takes the slots of all rows but `rows` (count, strictly ascending) out of `offsets` and `slots`, so that
   * experts skip them: their results and their routing weights' gradients are zeros.
   */
  virtual void keepRows(const int32_t* rows, int64_t count, Dispatch& dispatch) = 0;

  /**
   * Adds the routing of all rows, whether experts skip them or not. Softmax routers only, here and below.
   */
  virtual void routerSums(const Dispatch& dispatch, RouterSums& sums) = 0;

  /**
   * dLogits (rows, experts) = the gradient of the router's logits: through the routing weights, the choice
   * being constant, and through the losses of the router.
   */
  virtual void routeBackward(const Dispatch& dispatch, const RouteOptions& options,
                             const float* dRoutingWeights, const RouterLosses& losses, Tensor dLogits) = 0;

  /** dTable[tokens[r]] += dout[r], in order of the rows. */
  virtual void embedBackward(const int32_t* tokens, Tensor dout, float* dTable) = 0;

  /** out[rows[r]] = x[r]; all other rows are zeros. Rows ascend strictly. */
  virtual void scatterRows(Tensor x, const int32_t* rows, Tensor out) = 0;

  /** Σ values², in doubles: in blocks of 65,536, one after another. */
  virtual double squaredNorm(std::span<const float> values) = 0;

  /** out = values in bf16, to nearest, ties to even. */
  virtual void narrow(std::span<const float> values, uint16_t* out) = 0;

  /** AdamW with decoupled weight decay, as torch.optim.AdamW. */
  virtual void adamw(std::span<const AdamTensor> tensors, const AdamStep& step) = 0;
};

}  // namespace rnd1
