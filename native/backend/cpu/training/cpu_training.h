#pragma once

#include <vector>

#include "backend/backend.h"
#include "backend/cpu/buffer.h"
#include "backend/cpu/float/kernels.h"
#include "backend/cpu/partition.h"
#include "backend/training_ops.h"
#include "core/parallel.h"

namespace rnd1::cpu {

/** Training on host memory. Scratch memory grows on first use of a shape. */
class CpuTraining final : public TrainingOps {
 public:
  /** All must outlive this. */
  CpuTraining(Backend& backend, const Kernels& kernels, ThreadPool& pool);

  void copy(Tensor x, Tensor out) override;
  void clear(std::span<float> values) override;
  void accumulate(std::span<const float> values, std::span<float> sums) override;
  void addVector(const float* vector, Tensor out) override;
  void matmul(Tensor x, std::span<const Weight> weights, Tensor out) override;
  void crossEntropy(Tensor x, const Weight& head, const ScoredRows& rows, double* crossEntropies, Tensor* dx,
                    float* dHead) override;
  void rmsNormBackward(Tensor residual, const Weight& scale, float epsilon, Tensor dout, Tensor dresidual,
                       float* dScale) override;
  void matmulBackward(Tensor x, std::span<const Weight> weights, Tensor dout, Tensor* dx, bool adds,
                      std::span<float* const> dWeights) override;
  void normRopeBackward(Tensor before, const HeadLayout& layout, const HeadNorms& norms,
                        const int32_t* positions, Tensor rotary, Tensor dQkv,
                        const HeadNormGradients& gradients) override;
  void attentionBackward(Tensor qkv, Tensor out, const float* logSumExp, Tensor dout,
                         const HeadLayout& layout, CanvasOffsets canvases, AttentionMask mask, float scale,
                         Tensor dQkv) override;
  void experts(Tensor x, std::span<const ExpertWeights> weights, const Dispatch& dispatch, Tensor gate,
               Tensor up, Tensor out) override;
  void mlp(Tensor x, const ExpertWeights& weights, Tensor gate, Tensor up, Tensor out) override;
  void expertsBackward(Tensor x, std::span<const ExpertWeights> weights, const Dispatch& dispatch,
                       Tensor gate, Tensor up, Tensor dout, Tensor dx, float* dRoutingWeights,
                       std::span<const ExpertGradients> gradients) override;
  void mlpBackward(Tensor x, const ExpertWeights& weights, Tensor gate, Tensor up, Tensor dout, Tensor dx,
                   const ExpertGradients& gradients) override;
  void keepRows(const int32_t* rows, int64_t count, Dispatch& dispatch) override;
  void routerSums(const Dispatch& dispatch, RouterSums& sums) override;
  void routeBackward(const Dispatch& dispatch, const RouteOptions& options, const float* dRoutingWeights,
                     const RouterLosses& losses, Tensor dLogits) override;
  void embedBackward(const int32_t* tokens, Tensor dout, float* dTable) override;
  void scatterRows(Tensor x, const int32_t* rows, Tensor out) override;
  double squaredNorm(std::span<const float> values) override;
  void narrow(std::span<const float> values, uint16_t* out) override;
  void adamw(std::span<const AdamTensor> tensors, const AdamStep& step) override;

 private:
  /** Rows of experts: slots in the order of a dispatch, or, for a dense MLP, all rows as those of one expert.
   */
  struct Grouping {
    std::span<const ExpertWeights> weights;
    const int32_t* offsets = nullptr;  // (experts + 1)
    const int32_t* rows = nullptr;     // of slots, ascending within an expert; null: identity
    const float* factors = nullptr;    // of slots; null: 1
    int64_t slots = 0;
    int64_t width = 0;

    int64_t row(int64_t slot) const { return rows ? rows[slot] : slot; }
  };

  struct Scratch {
    Buffer<float> product;    // (productScratch)
    Buffer<float> attention;  // see attention_backward.cc
  };

  template <typename Job>
  void parallel(int64_t items, int64_t operations, Job&& job) {
    forEachItem(pool_, items, operations, int64_t{1} << 15, job);
  }
  int threads() const { return pool_.threads(); }

  /** A weight from a row and a column on, in f32 or bf16. */
  static Operand operandOf(const Weight& weight, int64_t row = 0, int64_t column = 0) {
    const std::byte* first =
        weight.data + row * weight.strideBytes + column * static_cast<int64_t>(dtypeSize(weight.dtype));
    if (weight.dtype == DType::bf16) return {nullptr, reinterpret_cast<const uint16_t*>(first)};
    return {reinterpret_cast<const float*>(first), nullptr};
  }

  /** Columns of a result that one item owns: whole vectors. */
  int64_t columnPart(int64_t columns) const {
    return blocksOf(blocksOf(columns, 2 * threads()), widestVector) * widestVector;
  }
  /** Rows of a part of a gradient (rows, columns) that one item owns. */
  int64_t gradientPart(int64_t rows) const;
  /** dWeight[first … first + count) += doutᵀ x over the rows [row, end); dout (rows, outputs), x (rows,
   * columns). */
  void addWeightGradientOf(int64_t row, int64_t end, Tensor dout, Tensor x, int64_t first, int64_t count,
                           float* dWeight, int thread);
  /** The same over all rows, in blocks. */
  void addWeightGradient(Tensor dout, Tensor x, int64_t first, int64_t count, float* dWeight, int thread);
  /** The same with blocks that end where packed rows[i] passes a multiple of gradientBlock. */
  void addScoredGradient(Tensor dout, Tensor x, const int32_t* rows, int64_t first, int64_t count,
                         float* dWeight, int thread);
  /** The end of the block of gradients that slot `first` begins. */
  static int64_t blockEnd(const Grouping& grouping, int64_t first, int64_t end);

  Grouping grouped(std::span<const ExpertWeights> weights, const Dispatch& dispatch);
  Grouping dense(const ExpertWeights& weights, int64_t rows);
  void forward(Tensor x, const Grouping& grouping, Tensor gate, Tensor up, Tensor out);
  void backward(Tensor x, const Grouping& grouping, Tensor gate, Tensor up, Tensor dout, Tensor dx,
                float* slotGradients, std::span<const ExpertGradients> gradients);
  void addExpertGradients(Tensor x, const Grouping& grouping, Tensor gate, Tensor up, Tensor weighted,
                          Tensor dout, std::span<const ExpertGradients> gradients);

  /** Adds partial sums (blocks, columns) to `total`, block by block. */
  static void addBlocks(const float* partial, int64_t blocks, int64_t stride, int64_t columns, float* total);

  Backend& backend_;
  const Kernels& kernels_;
  const TrainingKernels& training_;
  ThreadPool& pool_;
  std::vector<Scratch> scratch_;
  Buffer<float> partial_;          // sums of blocks of rows
  Buffer<double> partialDoubles_;  // likewise
  Buffer<float> logits_;           // a block of the vocabulary
  Buffer<float> maxima_;           // (scored rows, blocks)
  Buffer<double> sums_;            // likewise
  Buffer<float> activated_;        // (slots, width)
  Buffer<int32_t> slotRows_, denseOffsets_;
  std::vector<uint8_t> kept_;  // by row
  Buffer<float> factors_, slotGradients_;
};

}  // namespace rnd1::cpu
