#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "core/dtype.h"

namespace rnd1::bench {

/** A batch of equal canvases: `4x256`. */
struct BatchSize {
  int64_t canvases = 1;
  int64_t length = 0;
};

/** What to measure, and at which sizes; the defaults are RND1's. */
struct Options {
  std::string bench;  // the op
  std::string device = "cpu";
  DType dtype = DType::bf16;    // the compute dtype
  DType weights = DType::bf16;  // dtype in the checkpoint; routers and norms stay unquantized
  int threads = 1;
  bool simulateThreads = false;  // times what `threads` cores would take: see SimulatedThreads
  int runs = 5;
  double effort = 1;  // for the peaks
  std::vector<int64_t> rows;
  std::string routing = "even";

  std::vector<BatchSize> cases;                          // for step; empty: `canvases` of each of `rows`
  std::vector<std::pair<std::string, int64_t>> borders;  // Backend::setBorder

  int64_t canvases = 1;
  int64_t hidden = 2048;
  int64_t heads = 32;
  int64_t keyValueHeads = 4;
  int64_t headDim = 128;
  int64_t experts = 128;
  int64_t expertsPerToken = 8;
  int64_t expertWidth = 768;
  int64_t vocabulary = 151936;
  int64_t layers = 48;
};

/** `OP --rows 64,256 [--device cuda:0] …`: `usage` lists all options. Throws Error invalid_argument. */
Options parseOptions(std::span<const char* const> arguments);

extern const char* const usage;

}  // namespace rnd1::bench
