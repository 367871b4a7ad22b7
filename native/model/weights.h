#pragma once

#include <functional>
#include <optional>
#include <vector>

#include "backend/backend.h"
#include "checkpoint/copies.h"
#include "checkpoint/manifest.h"
#include "core/abort.h"
#include "io/mapped_file.h"
#include "model/config.h"

namespace rnd1 {

struct LayerWeights {
  Weight inputNorm, postAttentionNorm;  // (hidden)
  Weight queryKeyValue[3];              // [heads · headDim | keyValueHeads · headDim, hidden]
  Weight attentionOutput;               // [hidden, heads · headDim]
  Weight queryNorm, keyNorm;            // (headDim)
  Weight router;                        // [experts, hidden]
  std::vector<ExpertWeights> experts;
};

/** The weights of one model, resident in a backend; on the CPU views into the mapped files, or copies of
 * them. */
class Weights {
 public:
  /**
   * Projections, experts and an untied LM head may be quantized, or become so; nothing else may. Throws
   * Error invalid_checkpoint naming file and tensor, unsupported_model for quantized weights on a GPU, io,
   * out_of_memory, aborted.
   */
  Weights(const Config& config, const Manifest& manifest, Backend& backend,
          const std::function<void(const LoadProgress&)>& onProgress, const AbortFlag& abort);

  Weight embedding;  // [vocabulary, hidden]
  std::vector<LayerWeights> layers;
  Weight finalNorm;  // (hidden)
  Weight lmHead;     // [vocabulary, hidden]; the embedding when tied
  int64_t bytes = 0;

  /** Throws Error io naming a file that weights are used in, if it was cut short or could not be read. */
  void checkFiles() const;

 private:
  std::vector<std::optional<MappedFile>> mapped_;  // by file of the manifest, where weights are used in it
  std::vector<OwnedMemory> owned_;                 // what was quantized on loading, and copies
};

}  // namespace rnd1
