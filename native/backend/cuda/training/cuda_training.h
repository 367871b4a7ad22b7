#pragma once

#include <unordered_map>
#include <vector>

#include "backend/cuda/memory.h"
#include "backend/cuda/training/kernels.h"

namespace rnd1::cuda {

class CudaBackend;

/** Training in f32 on one GPU. Scratch memory grows on first use of a shape. */
class CudaTraining final : public TrainingOps {
 public:
  /** The backend must outlive this. */
  explicit CudaTraining(CudaBackend& backend) : backend_(backend) {}

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
  /** Pointers of all experts of a layer, on the host and on the GPU. */
  template <typename T>
  struct Table {
    std::vector<T> host;
    Scratch<T> device;
  };
  template <typename T>
  using Tables = std::unordered_map<const void*, Table<T>>;

  cudaStream_t stream();
  /** Scratch of at least `count` values. */
  template <typename T>
  T* grown(Scratch<T>& scratch, int64_t count);
  /** The table of `values` on the GPU, which is kept by its first pointer. */
  template <typename T>
  const T* placed(Tables<T>& tables, const void* key, std::span<const T> values);
  /** Waits, then copies. */
  template <typename T>
  void fetch(T* host, const T* device, int64_t count);

  RowGroups groupsOf(std::span<const ExpertWeights> weights, const Dispatch& dispatch, ExpertMatrix which);
  SlotLists listsOf(const Dispatch& dispatch);
  void addGradient(const WeightGradient& gradient);

  CudaBackend& backend_;
  Tables<ExpertWeights> weightTables_;
  Tables<ExpertGradients> gradientTables_;
  Scratch<float> partial_;    // sums of blocks of rows
  Scratch<float> factors_;    // 1 / root mean squares; Σ dout ∘ out
  Scratch<float> logits_;     // a part of the vocabulary
  Scratch<float> maxima_;     // (scored rows, blocks of the vocabulary), then the targets' logits
  Scratch<double> sums_;      // likewise, then the cross entropies
  Scratch<float> activated_;  // (slots, width)
  Scratch<float> products_;   // (slots, hidden)
  Scratch<double> partialDoubles_;
  Scratch<int32_t> slotRows_, places_, counts_;
  Scratch<float> slotFactors_;
  Scratch<uint8_t> kept_;
  std::vector<double> hostDoubles_;
  std::vector<int32_t> hostCounts_;
};

}  // namespace rnd1::cuda
