#pragma once

#include <string>
#include <vector>

#include "checkpoint/loader.h"
#include "model/architecture.h"
#include "model/buffer.h"

namespace rnd1 {

/** Three matmuls with SwiGLU between them: gate and up [width, hidden], down [hidden, width]. */
ExpertWeights loadMlp(Loader& loader, const std::string& role, int64_t width, int64_t hidden);

/** The MLPs of layers without experts. */
class DenseMlp {
 public:
  DenseMlp(Backend& backend, const Architecture& architecture)
      : backend_(backend), architecture_(architecture), activated_(backend) {}

  /** Loads the next layer, if it has no experts. */
  void load(Loader& loader);
  void reserve(int64_t rows, Limits& limits);
  /** delta (rows, hidden) = the MLP of normed rows. */
  void run(size_t layer, Tensor normed, Tensor delta) const;

 private:
  Backend& backend_;
  const Architecture& architecture_;
  std::vector<ExpertWeights> weights_;  // by layer; empty for those with experts
  Buffer<float> activated_;             // (rows, width)
};

}  // namespace rnd1
