// Rows beyond the valid ones: GPU ops leave them unchanged, and no expert computes them. The CPU has none,
// since its buckets are exact.
#include <bit>
#include <cstdio>

#include "route_support.h"

namespace rnd1::test {
namespace {

constexpr int64_t rows = 70, valid = 37, columns = 40;

bool isUnwritten(float value) { return std::bit_cast<uint32_t>(value) == 0xffffffffu; }

void expectValid(const DeviceMatrix& out, const char* what) {
  const Matrix values = out.host();
  for (int64_t row = 0; row < rows; ++row)
    for (int64_t column = 0; column < values.columns; ++column)
      if (isUnwritten(values.at(row, column)) != (row >= valid)) {
        expect(false, text(what, ": row ", row, row < valid ? " was left out" : " was written"));
        return;
      }
  expect(true, what);
}

void expectDeadRowsAlone(Backend& backend) {
  const DType dtype = backend.dtype();
  Limits limits;
  limits.rows = limits.scoredRows = rows;
  limits.innerColumns = columns;
  limits.experts = 6;
  limits.expertWidth = 24;
  limits.expertColumns = columns;
  limits.expertsPerToken = 2;
  limits.vocabulary = 300;
  limits.filters = true;
  backend.reserve(limits);
  Noise noise(92);
  const DeviceArray<int32_t> count(backend, std::vector<int32_t>{valid});
  const auto limited = [&](const DeviceMatrix& matrix) { return matrix.tensor().limitedTo(count.data()); };
  const auto weight = [&](int64_t outputs, int64_t inputs) {
    return backend.place(HostWeight(noise.matrix(outputs, inputs), dtype).mapped());
  };
  // Ids after the last valid row are far out of range.
  std::vector<int32_t> indices(rows, 1 << 30);
  for (int32_t row = 0; row < valid; ++row) indices[static_cast<size_t>(row)] = row % 30;
  const DeviceArray<int32_t> ids(backend, indices);
  const DeviceMatrix x(backend, noise.matrix(rows, columns, dtype));

  const DeviceMatrix embedded(backend, rows, columns);
  backend.embed(ids.data(), weight(30, columns), limited(embedded));
  expectValid(embedded, "embed");
  const DeviceMatrix gathered(backend, rows, columns);
  backend.gatherRows(x, ids.data(), limited(gathered));
  expectValid(gathered, "gatherRows");
  const DeviceMatrix normed(backend, rows, columns);
  backend.addRmsNorm(limited(x), nullptr, weight(1, columns), 1e-6f, limited(normed));
  expectValid(normed, "addRmsNorm");
  const DeviceMatrix product(backend, rows, 50);
  const Weight matrix = weight(50, columns);
  backend.matmul(limited(x), {&matrix, 1}, limited(product));
  expectValid(product, "matmul");

  DeviceDispatch dispatch(backend, rows, 6, 2);
  backend.route(limited(x), weight(6, columns), {2, true, nullptr}, dispatch.view);
  expectEqual(dispatch.offsets.host().back(), static_cast<int32_t>(2 * valid), "slots of experts");
  std::vector<ExpertWeights> experts;
  for (int expert = 0; expert < 6; ++expert)
    experts.push_back({weight(24, columns), weight(24, columns), weight(columns, 24)});
  const DeviceMatrix activated(backend, 2 * rows, 24), mixed(backend, rows, columns);
  backend.experts(limited(x), experts, dispatch.view, activated, limited(mixed));
  expectValid(mixed, "experts");

  const DeviceArray<ScoreRow> scored(backend, std::vector<ScoreRow>(rows, ScoreRow{0, 1, 0}));
  const DeviceArray<SamplingPlan> plans(backend, std::vector<SamplingPlan>(1));
  const Weight head = weight(300, columns);
  for (const bool greedyUnfiltered : {true, false}) {
    const DeviceArray<Score> scores(backend, rows);
    backend.score(limited(x), head, {scored.data(), rows}, {plans.data(), 1}, greedyUnfiltered,
                  {scores.data(), rows});
    const auto given = scores.host();
    expect(!isUnwritten(given[valid - 1].entropy) && isUnwritten(given[valid].entropy),
           text(greedyUnfiltered ? "greedy" : "filtered", " scores end elsewhere"));
  }
}

void deadRows() {
  bool tried = false;
  forEachBackend([&](Backend& backend) {
    if (backend.device() == "cpu") return;
    tried = true;
    expectDeadRowsAlone(backend);
  });
  if (!tried) std::fprintf(stderr, "SKIPPED: there is no GPU to try dead rows on\n");
  expect(true, "skipped");
}

const DeviceTests validRowsTests{{"valid rows: ops leave the others alone", deadRows}};

}  // namespace
}  // namespace rnd1::test
