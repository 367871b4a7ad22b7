#pragma once

#include <functional>
#include <string>
#include <unordered_map>
#include <vector>

#include "backend/backend.h"
#include "core/abort.h"
#include "io/mapped_file.h"
#include "model/config.h"

namespace rnd1 {

/** Where one tensor's bytes lie. Shapes of one dimension are vectors. */
struct TensorLocation {
  size_t file = 0;
  uint64_t offset = 0;
  DType dtype = DType::f32;
  std::vector<int64_t> shape;
};

/** What a checkpoint holds: files, and tensors by name. Headers were read by lib/checkpoint. */
struct Manifest {
  std::vector<std::string> files;
  std::unordered_map<std::string, TensorLocation> tensors;
};

struct LayerWeights {
  Weight inputNorm, postAttentionNorm;  // (hidden)
  Weight queryKeyValue[3];              // [heads · headDim | keyValueHeads · headDim, hidden]
  Weight attentionOutput;               // [hidden, heads · headDim]
  Weight queryNorm, keyNorm;            // (headDim)
  Weight router;                        // [experts, hidden]
  std::vector<ExpertWeights> experts;
};

struct LoadProgress {
  int64_t bytes = 0, totalBytes = 0, tensors = 0, totalTensors = 0;
};

/** The weights of one model, resident in a backend; on the CPU views into the mapped files. */
class Weights {
 public:
  /** Throws Error invalid_checkpoint naming file and tensor, io, out_of_memory, aborted. */
  Weights(const Config& config, const Manifest& manifest, Backend& backend,
          const std::function<void(const LoadProgress&)>& onProgress, const AbortFlag& abort);

  Weight embedding;  // [vocabulary, hidden]
  std::vector<LayerWeights> layers;
  Weight finalNorm;  // (hidden)
  Weight head;       // [vocabulary, hidden]; the embedding when tied
  int64_t bytes = 0;

 private:
  std::vector<MappedFile> files_;
};

}  // namespace rnd1
