#include "score_support.h"

#include <algorithm>

namespace rnd1::test {
namespace {

Limits limitsOf(int64_t rows, int64_t inner, int64_t vocabulary) {
  Limits limits;
  limits.rows = rows;
  limits.scoredRows = rows;
  limits.innerColumns = inner;
  limits.vocabulary = vocabulary;
  limits.filters = true;
  return limits;
}

/** Arguments of a scoring op, in backend memory. */
class ScoreMemory {
 public:
  ScoreMemory(Backend& backend, std::span<const ScoreRow> rows, std::span<const SamplingPlan> plans)
      : rows_(backend, std::vector<ScoreRow>(rows.begin(), rows.end())),
        plans_(backend, placed(backend, plans)),
        scores_(backend, std::vector<Score>(rows.size(), Score{-7, NAN, NAN, NAN, false})) {}

  std::span<const ScoreRow> rows() const { return {rows_.data(), rows_.size()}; }
  std::span<const SamplingPlan> plans() const { return {plans_.data(), plans_.size()}; }
  std::span<Score> scores() const { return {scores_.data(), scores_.size()}; }
  std::vector<Score> host() const { return scores_.host(); }

 private:
  std::vector<SamplingPlan> placed(Backend& backend, std::span<const SamplingPlan> plans) {
    std::vector<SamplingPlan> result(plans.begin(), plans.end());
    for (SamplingPlan& plan : result) {
      ids_.push_back(std::make_unique<DeviceArray<int32_t>>(
          backend, std::vector<int32_t>(plan.banned.begin(), plan.banned.end())));
      plan.banned = {ids_.back()->data(), plan.banned.size()};
      ids_.push_back(std::make_unique<DeviceArray<int32_t>>(
          backend, std::vector<int32_t>(plan.zeroed.begin(), plan.zeroed.end())));
      plan.zeroed = {ids_.back()->data(), plan.zeroed.size()};
    }
    return result;
  }

  std::vector<std::unique_ptr<DeviceArray<int32_t>>> ids_;
  DeviceArray<ScoreRow> rows_;
  DeviceArray<SamplingPlan> plans_;
  DeviceArray<Score> scores_;
};

}  // namespace

std::vector<ScoreRow> scoreRows(int64_t rows, int32_t canvases) {
  std::vector<ScoreRow> result;
  for (int64_t row = 0; row < rows; ++row) {
    const auto index = static_cast<int32_t>(row);
    result.push_back({index % canvases, index + 1, 0});
  }
  return result;
}

std::vector<Score> scoreLogits(Backend& backend, const Matrix& logits, std::span<const ScoreRow> rows,
                               std::span<const SamplingPlan> plans) {
  backend.reserve(limitsOf(logits.rows, 1, logits.columns));
  const DeviceMatrix input(backend, logits);
  const ScoreMemory memory(backend, rows, plans);
  backend.scoreLogits(input, memory.rows(), memory.plans(), memory.scores());
  return memory.host();
}

std::vector<Score> scoreHidden(Backend& backend, const Matrix& x, const HostWeight& head,
                               std::span<const ScoreRow> rows, std::span<const SamplingPlan> plans) {
  return scoreHidden(backend, x, head.mapped(), rows, plans);
}

std::vector<Score> scoreHidden(Backend& backend, const Matrix& x, const Weight& head,
                               std::span<const ScoreRow> rows, std::span<const SamplingPlan> plans) {
  const Weight placed = backend.place(head);
  backend.reserve(limitsOf(x.rows, x.columns, placed.rows));
  const DeviceMatrix input(backend, x);
  const ScoreMemory memory(backend, rows, plans);
  const bool greedyUnfiltered = std::all_of(plans.begin(), plans.end(), [&](const SamplingPlan& plan) {
    return plan.greedyUnfiltered(placed.rows);
  });
  backend.score(input, placed, memory.rows(), memory.plans(), greedyUnfiltered, memory.scores());
  return memory.host();
}

std::vector<Score> scoreGuided(Backend& backend, const Matrix& x, const Matrix& unconditional,
                               const Weight& head, std::span<const ScoreRow> rows,
                               std::span<const SamplingPlan> plans) {
  const Weight placed = backend.place(head);
  backend.reserve(limitsOf(2 * x.rows, x.columns, placed.rows));
  const DeviceMatrix input(backend, x), other(backend, unconditional);
  const ScoreMemory memory(backend, rows, plans);
  backend.scoreGuided(input, other, placed, memory.rows(), memory.plans(), memory.scores());
  return memory.host();
}

void expectScores(const std::vector<Score>& actual, const Matrix& logits, std::span<const ScoreRow> rows,
                  std::span<const SamplingPlan> plans, Location location) {
  Matrix numbers[3];
  DoubleMatrix expected[3];
  for (int i = 0; i < 3; ++i) {
    numbers[i] = Matrix(logits.rows, 1);
    expected[i] = DoubleMatrix(logits.rows, 1);
  }
  for (int64_t row = 0; row < logits.rows; ++row) {
    const Score& score = actual[static_cast<size_t>(row)];
    const ScoreRow& of = rows[static_cast<size_t>(row)];
    const auto truth = oracle::score({logits.row(row), static_cast<size_t>(logits.columns)},
                                     plans[static_cast<size_t>(of.canvas)], of.position);
    if (!expect(score.finite, text("row ", row, " is not finite"), location)) return;
    if (!expect(score.token >= 0 && score.token < logits.columns,
                text("row ", row, ": token ", score.token, " does not exist"), location))
      return;
    const auto token = static_cast<size_t>(score.token);
    expect(score.token == truth.token ||
               truth.keys[static_cast<size_t>(truth.token)] - truth.keys[token] < decisionSlack,
           text("row ", row, ": token ", score.token, ", expected ", truth.token), location);
    numbers[0].at(row, 0) = score.confidence;
    numbers[1].at(row, 0) = score.entropy;
    numbers[2].at(row, 0) = score.margin;
    expected[0].at(row, 0) = truth.confidences[token];
    expected[1].at(row, 0) = truth.entropy;
    expected[2].at(row, 0) = truth.margin;
  }
  // Scores are f32 in every compute dtype.
  const double bound = tolerance(DType::f32, Rounding::none);
  expectClose(numbers[0], expected[0], bound, "confidence", location);
  expectClose(numbers[1], expected[1], bound, "entropy", location);
  expectClose(numbers[2], expected[2], bound, "margin", location);
}

void expectSameScores(std::span<const Score> actual, std::span<const Score> expected, const std::string& what,
                      Location location) {
  for (size_t row = 0; row < actual.size(); ++row) {
    const Score &a = actual[row], &b = expected[row];
    expect(a.token == b.token && a.confidence == b.confidence && a.entropy == b.entropy &&
               a.margin == b.margin && a.finite == b.finite,
           text(what, ": row ", row, ": token ", a.token, ", confidence ", a.confidence, ", entropy ",
                a.entropy, "; expected ", b.token, ", ", b.confidence, ", ", b.entropy),
           location);
  }
}

SamplingPlan plan(float temperature, int32_t topK, float topP, bool greedy) {
  SamplingPlan result;
  result.temperature = temperature;
  result.topK = topK;
  result.topP = topP;
  result.greedy = greedy;
  result.seed = 0x123456789abcdef0;
  result.round = 5;
  return result;
}

std::vector<SamplingPlan> everyPlan() {
  std::vector<SamplingPlan> plans;
  for (const bool greedy : {true, false}) {
    for (const float temperature : {1.0f, 0.7f, 0.01f, 3.0f})
      plans.push_back(plan(temperature, 0, 0, greedy));
    for (const int32_t topK : {1, 2, 5, 90, 5000}) plans.push_back(plan(0.9f, topK, 0, greedy));
    for (const float topP : {0.001f, 0.5f, 0.95f, 1.0f}) plans.push_back(plan(1.1f, 0, topP, greedy));
    plans.push_back(plan(1.3f, 20, 0.6f, greedy));
    plans.push_back(plan(0.8f, 1, 0.6f, greedy));
  }
  return plans;
}

}  // namespace rnd1::test
