#pragma once

#include <cstdio>
#include <memory>
#include <string>

#include "checkpoint/manifest.h"
#include "model/architecture.h"

namespace rnd1::bench {

/** A checkpoint of any size in one temporary file, not much larger than its largest tensor, that all tensors
 * share. */
class RandomCheckpoint {
 public:
  /** `dtype` q8, q5, q4 or fp8 (not of the head): of the weights of matmuls, the others are bf16. Throws
   * Error io.
   */
  RandomCheckpoint(const Architecture& architecture, DType dtype);
  ~RandomCheckpoint();
  RandomCheckpoint(const RandomCheckpoint&) = delete;
  RandomCheckpoint& operator=(const RandomCheckpoint&) = delete;

  const Manifest& manifest() const { return manifest_; }

 private:
  /** Where tensors begin, and how many bytes they may use together: norms, weights that write to the residual
   * stream, other weights, integers (or numbers) of quantized weights, and their scales and minimums, for
   * both kinds.
   */
  struct Regions {
    int64_t small = 0, large = 0, integers = 0, scales[2] = {}, minimums[2] = {}, end = 0;
  };

  void addTensors(const Architecture& architecture, DType weights);
  void write(int64_t columns, DType weights, const std::string& folder);
  void removeFile() noexcept;

  struct Close {
    void operator()(std::FILE* file) const noexcept { std::fclose(file); }
  };

  std::string path_;  // empty: unlinked
  std::unique_ptr<std::FILE, Close> file_;
  Regions regions_;
  Manifest manifest_;
};

}  // namespace rnd1::bench
