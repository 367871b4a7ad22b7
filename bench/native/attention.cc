// Bidirectional attention: `rows` positions in each of `canvases` canvases, packed.
#include <cmath>

#include "harness.h"
#include "memory.h"

namespace rnd1::bench {

void benchAttention(const Bench& bench) {
  const Options& options = bench.options;
  Backend& backend = bench.backend;
  const HeadLayout layout{options.heads, options.keyValueHeads, options.headDim};
  const float scale = 1.0f / std::sqrt(static_cast<float>(layout.headDim));
  for (const int64_t length : options.rows) {
    const int64_t rows = length * options.canvases;
    Limits limits;
    limits.rows = rows;
    limits.headDim = layout.headDim;
    backend.reserve(limits);
    const DeviceMatrix qkv(backend, rows, layout.columns()), out(backend, rows, layout.queryColumns());
    std::vector<int32_t> begins;
    for (int64_t canvas = 0; canvas <= options.canvases; ++canvas)
      begins.push_back(static_cast<int32_t>(canvas * length));
    const DeviceArray<int32_t> offsets(backend, begins);
    // All keys are visible from anywhere.
    const DeviceArray<int32_t> positions(backend, std::vector<int32_t>(static_cast<size_t>(rows), 0));
    const CanvasOffsets canvases{offsets.data(), options.canvases};
    const Tensor query = qkv.tensor().columnRange(0, layout.queryColumns());
    const Tensor key = qkv.tensor().columnRange(layout.queryColumns(), layout.keyValueColumns());
    const Tensor value =
        qkv.tensor().columnRange(layout.queryColumns() + layout.keyValueColumns(), layout.keyValueColumns());
    Case measured{"full",
                  {{"length", length},
                   {"canvases", options.canvases},
                   {"heads", layout.heads},
                   {"keyValueHeads", layout.keyValueHeads},
                   {"headDim", layout.headDim}}};
    measured.operations =
        4.0 * static_cast<double>(rows * length) * static_cast<double>(layout.queryColumns());
    measured.bytes = 4.0 * static_cast<double>(rows * (layout.columns() + layout.queryColumns()));
    measured.call = [&](int64_t) {
      backend.attention(query, key, value, layout, {canvases, positions.data(), canvases, {}},
                        AttentionMask(), scale, out, nullptr);
    };
    bench.report(measured);
  }
}

}  // namespace rnd1::bench
