#pragma once

#include <functional>
#include <string>
#include <vector>

#include "model/architecture.h"
#include "options.h"

namespace rnd1::bench {

/** A mixture of experts of the options' sizes, whose defaults are RND1's. */
Architecture architectureOf(const Options& options);

/** A tensor that such a model loads. */
struct ModelTensor {
  std::string role;
  std::vector<int64_t> shape;
  bool matmul = false;          // may be quantized
  bool writesResidual = false;  // to the residual stream
};

/** body(tensor) for each. */
void forEachTensor(const Architecture& architecture, const std::function<void(const ModelTensor&)>& body);

}  // namespace rnd1::bench
