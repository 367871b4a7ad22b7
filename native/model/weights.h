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

/** The weights of one model in a backend; on the CPU, views of the mapped files or copies. */
class Weights {
 public:
  /**
   * Only projections, experts and an untied LM head may be quantized, in the files or on loading. Throws
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

  /** Throws Error io naming a mapped file that was truncated or could not be read. */
  void checkFiles() const;

 private:
  std::vector<std::optional<MappedFile>> mapped_;  // by file of the manifest; set if weights are used in
                                                   // place
  std::vector<OwnedMemory> owned_;                 // weights quantized on loading, and copies
};

}  // namespace rnd1
