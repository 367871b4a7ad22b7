// The projections of a layer: queries, keys and values in one call, and the output projection.
#include "harness.h"
#include "memory.h"

namespace rnd1::bench {
namespace {

/** x (rows, inner) · weightsᵀ, the weights side by side. */
void benchProjection(const Bench& bench, const std::string& name, int64_t inner,
                     const std::vector<int64_t>& outputs) {
  Backend& backend = bench.backend;
  int64_t columns = 0;
  for (const int64_t output : outputs) columns += output;
  int64_t weightBytes = 0;
  for (const int64_t output : outputs) weightBytes += Weights::bytes(bench.options.weights, output, inner);
  Weights memory(backend, bench.options.weights);
  std::vector<std::vector<Weight>> copies(static_cast<size_t>(coldCopies(weightBytes)));
  for (auto& copy : copies)
    for (const int64_t output : outputs) copy.push_back(memory.add(output, inner));

  for (const int64_t rows : bench.options.rows) {
    Limits limits;
    limits.rows = rows;
    limits.innerColumns = inner;
    backend.reserve(limits);
    const DeviceMatrix x(backend, rows, inner), out(backend, rows, columns);
    Case measured{name, {{"rows", rows}, {"inner", inner}, {"columns", columns}}};
    measured.operations = 2.0 * static_cast<double>(rows * inner * columns);
    measured.bytes = static_cast<double>(weightBytes + rows * (inner + columns) * 4);
    measured.call = [&](int64_t call) {
      backend.matmul(x, copies[static_cast<size_t>(call) % copies.size()], out);
    };
    bench.report(measured);
  }
}

}  // namespace

void benchMatmul(const Bench& bench) {
  const Options& options = bench.options;
  const int64_t queries = options.heads * options.headDim, keys = options.keyValueHeads * options.headDim;
  benchProjection(bench, "qkv", options.hidden, {queries, keys, keys});
  benchProjection(bench, "output", queries, {options.hidden});
}

}  // namespace rnd1::bench
