// The mixture of experts, under an even, a random or a skewed load.
#include <algorithm>
#include <set>

#include "core/random.h"
#include "dispatching.h"

namespace rnd1::bench {

std::vector<int32_t> chooseExperts(const Options& options, int64_t rows) {
  const int64_t experts = options.experts, k = options.expertsPerToken;
  const bool skewed = options.routing == "skewed";
  const int64_t used = skewed ? std::max(experts / 2, k) : experts;
  std::vector<int32_t> ids;
  for (int64_t row = 0; row < rows; ++row) {
    std::vector<int32_t> chosen;
    if (skewed) chosen.push_back(0);
    for (uint32_t draw = 0; static_cast<int64_t>(chosen.size()) < k; ++draw) {
      const auto next = static_cast<uint64_t>(options.routing == "even"
                                                  ? row * k + draw
                                                  : philox(2, {static_cast<uint32_t>(row), draw, 0, 0})[0]);
      const auto id = static_cast<int32_t>(next % static_cast<uint64_t>(used));
      if (std::find(chosen.begin(), chosen.end(), id) == chosen.end()) chosen.push_back(id);
    }
    ids.insert(ids.end(), chosen.begin(), chosen.end());
  }
  return ids;
}

int64_t distinct(std::span<const int32_t> ids) {
  return static_cast<int64_t>(std::set<int32_t>(ids.begin(), ids.end()).size());
}

void benchExperts(const Bench& bench) {
  const Options& options = bench.options;
  Backend& backend = bench.backend;
  const int64_t hidden = options.hidden, width = options.expertWidth, k = options.expertsPerToken;
  const int64_t expertBytes =
      2 * Weights::bytes(options.weights, width, hidden) + Weights::bytes(options.weights, hidden, width);
  Weights memory(backend, options.weights);
  Weights unquantized(backend, isQuantized(options.weights) ? DType::bf16 : options.weights);
  const Weight router = unquantized.add(options.experts, hidden);
  std::vector<std::vector<ExpertWeights>> copies(
      static_cast<size_t>(coldCopies(options.experts * expertBytes)));
  for (auto& copy : copies)
    for (int64_t expert = 0; expert < options.experts; ++expert)
      copy.push_back({memory.add(width, hidden), memory.add(width, hidden), memory.add(hidden, width)});

  for (const int64_t rows : options.rows) {
    backend.reserve(limitsOf(options, rows));
    const DeviceMatrix x(backend, rows, hidden), activated(backend, rows * k, width),
        out(backend, rows, hidden);
    const std::vector<int32_t> chosen = chooseExperts(options, rows);
    const DeviceArray<int32_t> forced(backend, chosen);
    RouteMemory memoryOfRoute(backend, rows, options.experts, k);
    Dispatch& dispatch = memoryOfRoute.dispatch;
    backend.route(x, router, {k, true, forced.data()}, dispatch);
    const int64_t hit = distinct(chosen);
    Case measured{options.routing,
                  {{"rows", rows},
                   {"experts", options.experts},
                   {"expertsPerToken", k},
                   {"hidden", hidden},
                   {"expertWidth", width},
                   {"expertsHit", hit}}};
    measured.operations = 6.0 * static_cast<double>(rows * k) * static_cast<double>(hidden * width);
    measured.bytes = static_cast<double>(hit * expertBytes + 2 * rows * hidden * 4);
    measured.call = [&](int64_t call) {
      backend.experts(x, copies[static_cast<size_t>(call) % copies.size()], dispatch, activated, out);
    };
    bench.report(measured);
  }
}

}  // namespace rnd1::bench
