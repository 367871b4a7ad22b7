// Row-wise ops: addRmsNorm over the hidden state, normRope over the heads.
#include <cmath>

#include "harness.h"
#include "memory.h"

namespace rnd1::bench {
namespace {

constexpr float epsilon = 1e-6f;

void benchAddRmsNorm(const Bench& bench, const Weight& scale, int64_t rows) {
  const int64_t hidden = bench.options.hidden;
  Backend& backend = bench.backend;
  // The residual grows with every call, but this small delta never makes it infinite.
  const DeviceMatrix residual(backend, rows, hidden), delta(backend, rows, hidden, 1e-6f),
      out(backend, rows, hidden);
  const Tensor added = delta;
  Case measured{"addRmsNorm", {{"rows", rows}, {"hidden", hidden}}};
  measured.operations = 5.0 * static_cast<double>(rows * hidden);
  measured.bytes = 16.0 * static_cast<double>(rows * hidden);
  measured.call = [&](int64_t) { backend.addRmsNorm(residual, &added, scale, epsilon, out); };
  bench.report(measured);
}

void benchNormRope(const Bench& bench, const Weight& scale, int64_t rows) {
  Backend& backend = bench.backend;
  const HeadLayout layout{bench.options.heads, bench.options.keyValueHeads, bench.options.headDim};
  const int64_t half = layout.headDim / 2;
  const DeviceMatrix qkv(backend, rows, layout.columns());
  std::vector<int32_t> places;
  std::vector<float> angles;
  for (int64_t row = 0; row < rows; ++row) {
    places.push_back(static_cast<int32_t>(row));
    for (int64_t i = 0; i < layout.headDim; ++i) {
      const double angle = static_cast<double>(row) *
                           std::pow(1e6, -static_cast<double>(i % half) / static_cast<double>(half));
      angles.push_back(static_cast<float>(i < half ? std::cos(angle) : std::sin(angle)));
    }
  }
  const DeviceArray<int32_t> positions(backend, places);
  const DeviceArray<float> table(backend, angles);
  const Tensor rotary(table.data(), rows, layout.headDim);
  Case measured{"normRope",
                {{"rows", rows},
                 {"heads", layout.heads},
                 {"keyValueHeads", layout.keyValueHeads},
                 {"headDim", layout.headDim}}};
  const int64_t turned = layout.queryColumns() + layout.keyValueColumns();
  measured.operations = 7.0 * static_cast<double>(rows * turned);
  measured.bytes = 4.0 * static_cast<double>(rows * (2 * layout.columns() + layout.headDim + 1));
  measured.call = [&](int64_t) {
    backend.normRope(qkv, layout, {{}, scale, scale, epsilon}, positions.data(), rotary, qkv);
  };
  bench.report(measured);
}

}  // namespace

void benchNorms(const Bench& bench) {
  const Options& options = bench.options;
  Weights memory(bench.backend, isQuantized(bench.options.weights) ? DType::bf16 : bench.options.weights);
  const Weight hiddenScale = memory.add(1, options.hidden), headScale = memory.add(1, options.headDim);
  for (const int64_t rows : options.rows) {
    Limits limits;
    limits.rows = rows;
    limits.innerColumns = options.hidden;
    limits.headDim = options.headDim;
    bench.backend.reserve(limits);
    benchAddRmsNorm(bench, hiddenScale, rows);
    benchNormRope(bench, headScale, rows);
  }
}

}  // namespace rnd1::bench
