#pragma once

#include <cstdint>

#include "backend/backend.h"

namespace rnd1 {

/** The sizes of a model, which TypeScript reads from config.json. */
struct Config {
  int64_t layers = 0;
  int64_t hidden = 0;
  int64_t heads = 0;
  int64_t keyValueHeads = 0;
  int64_t headDim = 0;
  int64_t experts = 0;
  int64_t expertsPerToken = 0;
  int64_t expertWidth = 0;
  int64_t vocabulary = 0;
  int64_t maxPositions = 0;
  float rmsNormEpsilon = 0;
  double ropeTheta = 0;
  bool normTopkProb = false;
  bool tieWordEmbeddings = false;

  HeadLayout headLayout() const { return {heads, keyValueHeads, headDim}; }

  /** Throws Error unsupported_model for impossible sizes. A last check: the errors of
   * lib/checkpoint/config.ts are more detailed. */
  void validate() const;
};

}  // namespace rnd1
