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
  /** `dtype` q8 or q4: bf16, quantized on loading. Throws Error io. */
  RandomCheckpoint(const Architecture& architecture, DType dtype);
  ~RandomCheckpoint();
  RandomCheckpoint(const RandomCheckpoint&) = delete;
  RandomCheckpoint& operator=(const RandomCheckpoint&) = delete;

  const Manifest& manifest() const { return manifest_; }

 private:
  void addTensors(const Architecture& architecture, DType dtype);
  void write(DType dtype, int64_t columns, const std::string& folder);
  void removeFile() noexcept;

  struct Close {
    void operator()(std::FILE* file) const noexcept { std::fclose(file); }
  };

  std::string path_;  // empty: unlinked
  std::unique_ptr<std::FILE, Close> file_;
  int64_t smallBytes_ = 0, largeBytes_ = 0;  // regions of small and of other numbers
  Manifest manifest_;
};

}  // namespace rnd1::bench
