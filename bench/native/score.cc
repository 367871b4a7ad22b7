// The end of a step: LM head and scores of the masked rows, then unmasking. Also unmasking alone.
#include "harness.h"
#include "memory.h"

namespace rnd1::bench {
namespace {

struct Named {
  const char* name;
  SamplingPlan plan;
};

std::vector<Named> plans() {
  SamplingPlan greedy, draw;
  draw.greedy = false;
  SamplingPlan topP = draw;
  topP.topP = 0.9f;
  SamplingPlan topK = topP;
  topK.topK = 50;
  return {{"greedy + unmask", greedy},
          {"draw + unmask", draw},
          {"top-p, draw + unmask", topP},
          {"top-k, top-p, draw + unmask", topK}};
}

std::vector<ScoreRow> rowsOf(int64_t count) {
  std::vector<ScoreRow> rows;
  for (int64_t row = 0; row < count; ++row) rows.push_back({0, static_cast<int32_t>(row + 1), 0});
  return rows;
}

UnmaskCanvas canvasOf(int64_t count) {
  UnmaskCanvas canvas{0, static_cast<int32_t>(count), {}};
  // Commits the share of one of 256 steps.
  canvas.plan.value = static_cast<double>(count - (count + 255) / 256);
  return canvas;
}

/** The rows of one canvas and their results, in backend memory. */
struct Rows {
  Rows(Backend& backend, int64_t count)
      : backend(backend),
        count(static_cast<size_t>(count)),
        scored(backend, std::span<const ScoreRow>(rowsOf(count))),
        scores(backend, std::span<const Score>(std::vector<Score>(this->count))),
        eligible(backend, std::span<const uint8_t>(std::vector<uint8_t>(this->count, 1))),
        canvas(backend, std::span<const UnmaskCanvas>(std::vector<UnmaskCanvas>{canvasOf(count)})) {}

  std::span<const ScoreRow> rows() const { return {scored.data(), count}; }
  std::span<Score> results() const { return {scores.data(), count}; }
  void unmask() { backend.unmask({canvas.data(), 1}, rows(), {eligible.data(), count}, results()); }

  Backend& backend;
  size_t count;
  DeviceArray<ScoreRow> scored;
  DeviceArray<Score> scores;
  DeviceArray<uint8_t> eligible;
  DeviceArray<UnmaskCanvas> canvas;
};

}  // namespace

void benchScore(const Bench& bench) {
  const Options& options = bench.options;
  Backend& backend = bench.backend;
  const int64_t headBytes = Weights::bytes(options.weights, options.vocabulary, options.hidden);
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
    Rows rows(backend, count);
    Case measured{"", {{"rows", count}, {"hidden", options.hidden}, {"vocabulary", options.vocabulary}}};
    for (const auto& [name, plan] : plans()) {
      measured.name = name;
      measured.operations =
          2.0 * static_cast<double>(count * options.hidden) * static_cast<double>(options.vocabulary);
      measured.bytes = static_cast<double>(headBytes + count * options.hidden * 4);
      const DeviceArray<SamplingPlan> placed(backend, std::span<const SamplingPlan>(&plan, 1));
      measured.call = [&](int64_t) {
        backend.score(x, head, rows.rows(), {placed.data(), 1}, plan.greedyUnfiltered(options.vocabulary),
                      rows.results());
        rows.unmask();
      };
      bench.report(measured);
    }
    measured.name = "unmask";
    measured.operations = 0;
    measured.bytes = static_cast<double>(count) * (sizeof(ScoreRow) + sizeof(Score) + 2);
    measured.call = [&](int64_t) { rows.unmask(); };
    bench.report(measured);
  }
}

}  // namespace rnd1::bench
