#pragma once

#include <functional>
#include <optional>
#include <vector>

#include "checkpoint/manifest.h"
#include "io/mapped_file.h"
#include "model/attention.h"
#include "model/experts.h"
#include "model/head.h"
#include "model/mlp.h"

namespace rnd1 {

/** The parts of a model's graph with their weights in a backend; on the CPU, views of mapped files or copies.
 */
class Blocks {
 public:
  /**
   * Only the weights of matmuls may be quantized, in the files or on loading. Throws Error invalid_checkpoint
   * naming file and tensor, unsupported_model for a format that the backend does not accept, io,
   * out_of_memory, aborted.
   */
  Blocks(const Architecture& architecture, const Manifest& manifest, Backend& backend,
         const std::function<void(const LoadProgress&)>& onProgress, const AbortFlag& abort);

  Head head;
  Attention attention;
  DenseMlp mlp;
  Experts experts;
  std::vector<Weight> mlpNorms;  // (hidden), by layer
  int64_t bytes = 0;

  /** Sizes all buffers for `rows` packed rows of canvases of at most `length`, and raises `limits`. */
  void reserve(int64_t rows, int64_t length, Limits& limits);

  /** Throws Error io naming a mapped file that was truncated or could not be read. */
  void checkFiles() const;

 private:
  std::vector<std::optional<MappedFile>> mapped_;  // by file of the manifest; set if weights are used in
                                                   // place
  std::vector<OwnedMemory> owned_;                 // weights quantized on loading, and copies
};

}  // namespace rnd1
