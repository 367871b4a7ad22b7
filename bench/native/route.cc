// Router matmul, softmax, best k, grouping by expert.
#include "dispatching.h"

namespace rnd1::bench {

void benchRoute(const Bench& bench) {
  const Options& options = bench.options;
  Backend& backend = bench.backend;
  const int64_t hidden = options.hidden, experts = options.experts, k = options.expertsPerToken;
  const int64_t routerBytes = hidden * experts * static_cast<int64_t>(dtypeSize(options.weights));
  Weights memory(backend, isQuantized(options.weights) ? DType::bf16 : options.weights);
  const Weight router = memory.add(experts, hidden);
  for (const int64_t rows : options.rows) {
    backend.reserve(limitsOf(options, rows));
    const DeviceMatrix x(backend, rows, hidden);
    RouteMemory routed(backend, rows, experts, k);
    Case measured{"best k",
                  {{"rows", rows}, {"hidden", hidden}, {"experts", experts}, {"expertsPerToken", k}}};
    measured.operations = 2.0 * static_cast<double>(rows * hidden * experts);
    // Logits, and per slot an id, a weight and an index in its expert's list.
    measured.bytes = static_cast<double>(routerBytes + 4 * (rows * (hidden + experts + 3 * k) + experts + 1));
    measured.call = [&](int64_t) { backend.route(x, router, {k, true, nullptr}, routed.dispatch); };
    bench.report(measured);
  }
}

}  // namespace rnd1::bench
