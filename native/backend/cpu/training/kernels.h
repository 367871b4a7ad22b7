#pragma once

#include <stddef.h>
#include <stdint.h>

/**
 * The inner loops of training, as one table of functions per instruction set: part of the table of
 * backend/cpu/float/kernels.h, and under its rules (no C++ library headers). All f32 but for weights.
 */
namespace rnd1::cpu {

/** Steps of a product that are summed in registers; their sums are added to the result one after another. */
constexpr int64_t productSteps = 256;

/** Rows of a transposed operand that are packed at a time. */
constexpr int64_t productRows = 192;

/** The widest panel of packed columns, of any instruction set. */
constexpr int64_t widestPanel = 64;

/** Floats of scratch that a product needs. */
constexpr int64_t productScratch = productSteps * (productRows + widestPanel);

/** Columns of a padded operand are multiples of this, which every vector divides. */
constexpr int64_t widestVector = 16;

/** The second operand of a product: f32, or bf16, which is widened as it is packed. */
struct Operand {
  const float* floats = nullptr;
  const uint16_t* halves = nullptr;
};

/**
 * out[i][j] = (accumulates ? out[i][j] : 0) + Σ_p a(i, p) · b(p, j), with p in order. Every element is
 * computed alike, whatever the other rows and columns.
 */
struct Product {
  int64_t rows = 0, columns = 0, steps = 0;
  // a(i, p) = a[index(i) · aStride + p], or, transposed, a[index(p) · aStride + i]
  const float* a = nullptr;
  int64_t aStride = 0;
  const int32_t* aIndex = nullptr;  // null: identity
  bool transposed = false;
  Operand b = {};  // b[index(p) · bStride + j], or, turned, b[j · bStride + p]
  int64_t bStride = 0;
  const int32_t* bIndex = nullptr;  // null: identity; null if turned
  bool turned = false;
  float* out = nullptr;  // out[index(i) · outStride + j]
  int64_t outStride = 0;
  const int32_t* outIndex = nullptr;  // null: identity
  bool accumulates = false;
  bool packs = true;  // whether operands are copied side by side first: worthwhile for all but small ones
  float* scratch = nullptr;  // (productScratch), aligned to 64 bytes
};

/** One row of scores of attention, its keys side by side. */
struct AttentionGradientRow {
  int64_t visible, count;  // keys; those after the visible ones get 0
  float scale, logSumExp, rowDot;
  float* scores;     // in: q · k; out: probabilities
  float* gradients;  // in: d probabilities; out: d (q · k)
};

/** One head of one row, in place of whose gradient the gradient of its projection is written. */
struct HeadGradient {
  int64_t columns, half;  // in all; in each half of those that are rotated
  float epsilon;
  const float* scale;    // (columns) of the norm; null: none
  const float* before;   // (columns) what the norm read
  const float* cosines;  // (half), then sines
  float* gradient;
  float* scaleGradient;  // (columns), added to; null: not wanted
};

/** AdamW's constants of one step and tensor. */
struct AdamRates {
  float gradientScale;  // of clipping
  float beta1, beta2, epsilon;
  float keep;        // 1 − learning rate · weight decay
  float step;        // learning rate / (1 − β1^t)
  float correction;  // 1 / √(1 − β2^t)
};

struct TrainingKernels {
  void (*product)(const Product& product);

  /** Transposes rows (count, columns) into out[column · outStride + row]; rows up to a multiple of
   * widestVector are zeros. */
  void (*transposeRows)(const float* rows, int64_t stride, int64_t count, int64_t columns, float* out,
                        int64_t outStride);

  /** dresidual += the gradient of residual / rms ∘ scale; scaleGradient, if not null, likewise. */
  void (*normBackward)(const float* residual, const float* scale, float epsilon, const float* dout,
                       int64_t count, float* dresidual, float* scaleGradient);

  void (*headBackward)(const HeadGradient& head);

  /** out = weight · silu(gate) ∘ up. */
  void (*swiglu)(float weight, const float* gate, const float* up, int64_t count, float* out);

  /**
   * In place, for activations h = silu(gate) ∘ up and the gradient of an output weight · down(h), that is
   * `gradient` = dout · down: gate and up become their own gradients, `gradient` becomes weight · h. Returns
   * gradient · h, the gradient of the weight.
   */
  float (*swigluBackward)(float weight, float* gate, float* up, float* gradient, int64_t count);

  float (*dot)(const float* a, const float* b, int64_t count);

  void (*attentionGradient)(const AttentionGradientRow& row);

  /** The largest value, and Σ exp(value − largest) in doubles. */
  void (*exponentialSum)(const float* values, int64_t count, float* largest, double* sum);

  /** values = factor · exp(values − largest). */
  void (*scaledExponentials)(float* values, int64_t count, float largest, float factor);

  void (*adamw)(const AdamRates& rates, int64_t count, const float* gradient, float* value, float* first,
                float* second);

  /** Σ values², in doubles. */
  double (*squaredNorm)(const float* values, int64_t count);
};

}  // namespace rnd1::cpu
