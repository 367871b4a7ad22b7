#pragma once

#include <functional>
#include <span>
#include <string>
#include <unordered_set>
#include <vector>

#include "backend/training_ops.h"
#include "checkpoint/manifest.h"
#include "core/abort.h"
#include "model/architecture.h"
#include "model/buffer.h"

namespace rnd1 {

/** A weight with the place of its gradient: null for frozen ones. */
struct TrainedWeight {
  Weight value;
  float* gradient = nullptr;
};

/** The parameters of one layer. Those that it does not have are without data. */
struct LayerParameters {
  TrainedWeight attentionNorm, query, key, value;
  TrainedWeight bias;  // of queries, keys and values, one after another
  TrainedWeight queryNorm, keyNorm, output;
  TrainedWeight mlpNorm, router;
  // A dense MLP is one expert.
  std::vector<ExpertWeights> experts;
  std::vector<ExpertGradients> expertGradients;
  ExpertWeights shared;
  ExpertGradients sharedGradients;
};

/** One parameter by its role. */
struct Parameter {
  std::string role;
  std::vector<int64_t> shape;
  int64_t count = 0;   // elements
  int64_t offset = 0;  // of its values, among those of all parameters
  // Of its gradient and moments, among those of all trained parameters; −1: frozen
  int64_t trainedOffset = -1;

  bool frozen() const { return trainedOffset < 0; }
};

/** What is stored for a parameter. Frozen ones have a value only. */
enum class ParameterArray { value, gradient, firstMoment, secondMoment };

/**
 * All parameters of a model, in f32, with their gradients and AdamW's moments. Products may see the matrices
 * but routers rounded to bf16: copies beside the values, which keep every update, however small.
 */
class Parameters {
 public:
  /**
   * Reads all tensors of a checkpoint and widens them; the moments are zeros. `products`: the type of weights
   * in products, f32 or bf16. `frozen`: roles that are not trained; those of one bias are frozen together.
   * Throws as Blocks does, and invalid_argument for a role that the model does not have.
   */
  Parameters(const Architecture& architecture, const Manifest& manifest, Backend& backend, DType products,
             const std::unordered_set<std::string>& frozen,
             const std::function<void(const LoadProgress&)>& onProgress, const AbortFlag& abort);

  const std::vector<Parameter>& list() const { return list_; }
  /** Throws invalid_argument for an unknown role. */
  const Parameter& find(const std::string& role) const;
  /** Throws invalid_argument for what a frozen parameter does not have. */
  std::span<float> array(const Parameter& parameter, ParameterArray which) const;
  /** Gradients of all trained parameters. */
  std::span<float> gradients() const { return {gradients_.data(), static_cast<size_t>(trained_)}; }
  /** Bytes of all arrays. */
  int64_t bytes() const {
    return (valueCount_ + 3 * trained_) * static_cast<int64_t>(sizeof(float)) +
           (halves_.data() ? 2 * valueCount_ : 0);
  }
  /** Values were written: the copies of products are rounded anew by the next `refresh`. */
  void changed() { stale_ = true; }
  void refresh();

  const LayerParameters& layer(size_t index) const { return layers_[index]; }
  TrainedWeight embedding, norm, head;

 private:
  void place(const std::unordered_set<std::string>& frozen);
  void bind(const Architecture& architecture);

  std::vector<Parameter> list_;
  std::vector<LayerParameters> layers_;
  TrainingOps& ops_;
  Buffer<float> values_, gradients_, first_, second_;
  Buffer<uint16_t> halves_;  // as values_; empty if products see these
  bool stale_ = true;
  int64_t valueCount_ = 0, trained_ = 0;
};

}  // namespace rnd1
