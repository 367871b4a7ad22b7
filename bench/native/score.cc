// The end of a step: head product and scores of the masked rows, then the selection. The selection alone,
// too.
#include "harness.h"
#include "memory.h"

namespace rnd1::bench {
namespace {

struct Named {
  const char* name;
  SamplingPlan plan;
};

std::vector<Named> plans() {
  SamplingPlan greedy, draw, filtered;
  draw.greedy = false;
  filtered.greedy = false;
  filtered.topK = 50;
  filtered.topP = 0.9f;
  return {{"greedy + unmask", greedy}, {"draw + unmask", draw}, {"top-k, top-p, draw + unmask", filtered}};
}

/** The rows of one canvas, and what comes of them. Host memory. */
struct Rows {
  explicit Rows(int64_t count)
      : scores(static_cast<size_t>(count)), eligible(scores.size(), 1), committed(scores.size()) {
    for (int64_t row = 0; row < count; ++row) scored.push_back({0, static_cast<int32_t>(row + 1), 0});
    // One of 256 steps' share is committed.
    plan.value = static_cast<double>(count - (count + 255) / 256);
  }

  void unmask(Backend& backend) { backend.unmask(scored, scores, eligible, plan, committed); }

  std::vector<ScoreRow> scored;
  std::vector<Score> scores;
  std::vector<uint8_t> eligible, committed;
  UnmaskPlan plan;
};

}  // namespace

void benchScore(const Bench& bench) {
  const Options& options = bench.options;
  Backend& backend = bench.backend;
  const int64_t headBytes =
      options.hidden * options.vocabulary * static_cast<int64_t>(dtypeSize(options.weights));
  Weights memory(backend, options.weights);
  const Weight head = memory.add(options.vocabulary, options.hidden);
  for (const int64_t count : options.rows) {
    Limits limits;
    limits.rows = limits.scoredRows = count;
    limits.innerColumns = options.hidden;
    limits.vocabulary = options.vocabulary;
    limits.filters = true;
    backend.reserve(limits);
    const DeviceMatrix x(backend, count, options.hidden);
    Rows rows(count);
    Case measured{"", {{"rows", count}, {"hidden", options.hidden}, {"vocabulary", options.vocabulary}}};
    for (const auto& [name, plan] : plans()) {
      measured.name = name;
      measured.operations =
          2.0 * static_cast<double>(count * options.hidden) * static_cast<double>(options.vocabulary);
      measured.bytes = static_cast<double>(headBytes + count * options.hidden * 4);
      measured.call = [&](int64_t) {
        backend.score(x, head, rows.scored, {&plan, 1}, rows.scores);
        backend.synchronize();
        rows.unmask(backend);
      };
      bench.report(measured);
    }
    measured.name = "unmask";
    measured.operations = 0;
    measured.bytes = static_cast<double>(count) * (sizeof(ScoreRow) + sizeof(Score) + 2);
    measured.call = [&](int64_t) { rows.unmask(backend); };
    bench.report(measured);
  }
}

}  // namespace rnd1::bench
