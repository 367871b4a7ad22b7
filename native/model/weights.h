#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "backend/backend.h"
#include "core/abort.h"
#include "io/mapped_file.h"
#include "model/config.h"
#include "model/copies.h"

namespace rnd1 {

/** A place in one of the files. */
struct Place {
  size_t file = 0;
  uint64_t offset = 0;
};

/** Where one tensor's bytes lie. Shapes of one dimension are vectors. */
struct TensorLocation {
  size_t file = 0;
  uint64_t offset = 0;
  DType dtype = DType::f32;
  std::vector<int64_t> shape;  // of the numbers it stands for, also where it is quantized
  // Of quantized tensors: the layout is that of core/quantized.h.
  int32_t group = 0;
  Place scales{}, minimums{};
};

/** How wide weights of products are quantized. */
struct Quantization {
  DType dtype = DType::q8;
  int32_t group = 64;  // 64 or 32
};

/** What a checkpoint holds: files, and tensors by name. Headers were read by lib/checkpoint. */
struct Manifest {
  std::vector<std::string> files;
  std::unordered_map<std::string, TensorLocation> tensors;
  std::optional<Quantization> quantize;  // what is wide in the files is to be quantized while it is loaded
  bool copied = false;  // weights are copied into memory of the backend's, also where it could use the files
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

/** The weights of one model, resident in a backend; on the CPU views into the mapped files, or copies of
 * them. */
class Weights {
 public:
  /**
   * Projections, experts and an untied head may be quantized, or become so; everything else is wide. Throws
   * Error invalid_checkpoint naming file and tensor, unsupported_model for quantized weights on a GPU, io,
   * out_of_memory, aborted.
   */
  Weights(const Config& config, const Manifest& manifest, Backend& backend,
          const std::function<void(const LoadProgress&)>& onProgress, const AbortFlag& abort);

  Weight embedding;  // [vocabulary, hidden]
  std::vector<LayerWeights> layers;
  Weight finalNorm;  // (hidden)
  Weight head;       // [vocabulary, hidden]; the embedding when tied
  int64_t bytes = 0;

  /** Throws Error io naming a file that weights are used in, if it was cut short or could not be read. */
  void checkFiles() const;

 private:
  std::vector<std::optional<MappedFile>> mapped_;  // by file of the manifest, where weights are used in it
  std::vector<OwnedMemory> owned_;                 // what was quantized on loading, and copies
};

/** Throws Error invalid_checkpoint where a tensor's `length` bytes from `offset` on are not all in the file.
 */
void checkInside(uint64_t fileBytes, const std::string& path, const std::string& name, uint64_t offset,
                 int64_t length);
inline void checkInside(const File& file, const std::string& name, uint64_t offset, int64_t length) {
  checkInside(file.size(), file.path(), name, offset, length);
}

}  // namespace rnd1
