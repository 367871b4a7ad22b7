#include <algorithm>
#include <cfloat>
#include <limits>

#include "backends.h"

namespace rnd1::test {
namespace {

constexpr float infinity = std::numeric_limits<float>::infinity();

Limits limitsOf(int64_t rows, int64_t inner, int64_t vocabulary) {
  Limits limits;
  limits.rows = rows;
  limits.scoredRows = rows;
  limits.innerColumns = inner;
  limits.vocabulary = vocabulary;
  limits.filters = true;
  return limits;
}

/** Rows of one canvas after another: row r predicts position r + 1 of canvas r mod canvases. */
std::vector<ScoreRow> scoreRows(int64_t rows, int32_t canvases = 1) {
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
  std::vector<Score> scores(rows.size(), Score{-7, NAN, NAN, NAN, false});
  backend.scoreLogits(input, rows, plans, scores);
  backend.synchronize();
  return scores;
}

std::vector<Score> scoreHidden(Backend& backend, const Matrix& x, const HostWeight& head,
                               std::span<const ScoreRow> rows, std::span<const SamplingPlan> plans) {
  const Weight placed = backend.place(head.mapped());
  backend.reserve(limitsOf(x.rows, x.columns, placed.rows));
  const DeviceMatrix input(backend, x);
  std::vector<Score> scores(rows.size(), Score{-7, NAN, NAN, NAN, false});
  backend.score(input, placed, rows, plans, scores);
  backend.synchronize();
  return scores;
}

void expectScores(const std::vector<Score>& actual, const Matrix& logits, std::span<const ScoreRow> rows,
                  std::span<const SamplingPlan> plans, Location location = Location::current()) {
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
    expected[0].at(row, 0) = truth.logProbabilities[token];
    expected[1].at(row, 0) = truth.entropy;
    expected[2].at(row, 0) = truth.margin;
  }
  // Scores are f32 in every arithmetic.
  const double bound = tolerance(DType::f32, Rounding::none);
  expectClose(numbers[0], expected[0], bound, "confidence", location);
  expectClose(numbers[1], expected[1], bound, "entropy", location);
  expectClose(numbers[2], expected[2], bound, "margin", location);
}

void expectSameScores(std::span<const Score> actual, std::span<const Score> expected, const std::string& what,
                      Location location = Location::current()) {
  for (size_t row = 0; row < actual.size(); ++row) {
    const Score &a = actual[row], &b = expected[row];
    expect(a.token == b.token && a.confidence == b.confidence && a.entropy == b.entropy &&
               a.margin == b.margin && a.finite == b.finite,
           text(what, ": row ", row, ": token ", a.token, ", confidence ", a.confidence, ", entropy ",
                a.entropy, "; expected ", b.token, ", ", b.confidence, ", ", b.entropy),
           location);
  }
}

SamplingPlan plan(float temperature, int32_t topK = 0, float topP = 0, bool greedy = true) {
  SamplingPlan result;
  result.temperature = temperature;
  result.topK = topK;
  result.topP = topP;
  result.greedy = greedy;
  result.seed = 0x123456789abcdef0;
  result.round = 5;
  return result;
}

/** Plans of every kind: temperatures, each filter, both together, drawn or not. */
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

void scoreLogitsMatches() {
  const auto plans = everyPlan();
  forEachBackend([&](Backend& backend) {
    Noise noise(41);
    for (const int64_t vocabulary : {1, 2, 5, 97, 1031})
      for (const auto& one : plans) {
        const Scope scope(text("vocabulary ", vocabulary, ", temperature ", one.temperature, ", top-k ",
                               one.topK, ", top-p ", one.topP, one.greedy ? ", greedy" : ", drawn"));
        const Matrix logits = noise.matrix(7, vocabulary, DType::f32, 2.5f);
        const auto rows = scoreRows(7);
        expectScores(scoreLogits(backend, logits, rows, {&one, 1}), logits, rows, {&one, 1});
      }
  });
}

void oddRows() {
  const auto plans = everyPlan();
  forEachBackend([&](Backend& backend) {
    Noise noise(42);
    for (const int64_t count : {1, 7, 33, 129}) {
      const Scope scope(text(count, " rows"));
      const Matrix logits = noise.matrix(count, 211, DType::f32, 3);
      const auto rows = scoreRows(count, static_cast<int32_t>(plans.size()));
      expectScores(scoreLogits(backend, logits, rows, plans), logits, rows, plans);
    }
  });
}

void scoreMatches() {
  forEachBackend([](Backend& backend) {
    Noise noise(43);
    const auto plans = everyPlan();
    for (const DType dtype : allDTypes)
      for (const int64_t count : {1, 7, 33, 129}) {
        const Scope scope(text(dtypeName(dtype), " head, ", count, " rows"));
        const Matrix x = noise.matrix(count, 45, backend.dtype());
        const HostWeight head(noise.matrix(307, 45, DType::f32, 0.4f), dtype, 1);
        const auto rows = scoreRows(count, static_cast<int32_t>(plans.size()));
        const DoubleMatrix exact = oracle::matmul(x, head.values(backend.dtype()));
        const Matrix logits(exact);
        const auto actual = scoreHidden(backend, x, head, rows, plans);
        // Cold plans amplify the rounding of the logits: what is scored are the
        // backend's own.
        const Weight placed = backend.place(head.mapped());
        const DeviceMatrix input(backend, x);
        const DeviceMatrix product(backend, count, 307);
        backend.logits(input, placed, product);
        expectClose(product.host(), exact, tolerance(backend.dtype(), Rounding::none), "logits");
        expectScores(actual, product.host(), rows, plans);
        expectSameScores(actual, scoreLogits(backend, product.host(), rows, plans), "against scoreLogits");
      }
  });
}

void largeVocabulary() {
  forEachBackend([](Backend& backend) {
    Noise noise(44);
    const auto plans = std::vector{plan(1), plan(0.8f, 40, 0.9f, false)};
    const Matrix x = noise.matrix(70, 6, backend.dtype());
    const HostWeight head(noise.matrix(20011, 6), DType::bf16);
    const auto rows = scoreRows(70, 2);
    const auto actual = scoreHidden(backend, x, head, rows, plans);
    const DoubleMatrix exact = oracle::matmul(x, head.values(backend.dtype()));
    const Matrix logits(exact);
    expectScores(actual, logits, rows, plans);
  });
}

void greedyTies() {
  forEachBackend([](Backend& backend) {
    for (const int64_t vocabulary : {3, 16, 97})
      for (int64_t first = 0; first < vocabulary; ++first) {
        Matrix logits(1, vocabulary);
        for (int64_t id = 0; id < vocabulary; ++id) logits.at(0, id) = id < first ? -1.0f : 2.0f;
        const auto rows = scoreRows(1);
        for (const auto& one : {plan(1), plan(0.7f, 2), plan(1, 0, 0.5f)})
          expectEqual(scoreLogits(backend, logits, rows, {&one, 1})[0].token, first,
                      text("vocabulary ", vocabulary));
      }
  });
}

void equalLogits() {
  forEachBackend([](Backend& backend) {
    const Matrix logits(1, 64);  // all equal: every p is 1/64 exactly
    struct Case {
      int32_t topK;
      float topP;
      int64_t kept;
    };
    // Rank j ≥ 3 stays while the sum up to rank j − 1 is ≤ p: equality keeps.
    constexpr Case cases[] = {{5, 0, 5},      {1, 0, 1},       {64, 0, 64},  {0, 0.5f, 33},  {0, 1e-6f, 2},
                              {0, 0.25f, 17}, {0, 0.249f, 16}, {8, 0.5f, 5}, {3, 0.999f, 3}, {1, 0.5f, 1}};
    for (const Case& given : cases) {
      const Scope scope(text("top-k ", given.topK, ", top-p ", given.topP));
      SamplingPlan one = plan(1, given.topK, given.topP, false);
      std::vector<int> counts(64);
      for (uint32_t round = 0; round < 500; ++round) {
        one.round = round;
        const Score score = scoreLogits(backend, logits, scoreRows(1), {&one, 1})[0];
        ++counts[static_cast<size_t>(score.token)];
        if (round > 0) continue;
        const double expected = std::log(static_cast<double>(given.kept));
        expect(std::abs(score.entropy - expected) < 1e-6,
               text("entropy ", score.entropy, ", expected ", expected));
        expect(std::abs(score.confidence + expected) < 1e-6, text("confidence ", score.confidence));
        expectEqual(score.margin, given.kept == 1 ? 1.0f : 0.0f, "margin");
      }
      for (int64_t id = 0; id < 64; ++id) {
        const int count = counts[static_cast<size_t>(id)];
        if (id >= given.kept) expectEqual(count, 0, text("draws of token ", id));
        if (given.kept <= 8 && id < given.kept)
          expect(count > 20, text("token ", id, " is drawn ", count, " times"));
      }
    }
  });
}

void banned() {
  forEachBackend([](Backend& backend) {
    Noise noise(45);
    const int64_t vocabulary = 41;
    const Matrix x = noise.matrix(33, 20, backend.dtype());
    const HostWeight head(noise.matrix(vocabulary, 20), DType::bf16);
    const DoubleMatrix exact = oracle::matmul(x, head.values(backend.dtype()));
    const Matrix logits(exact);
    const auto rows = scoreRows(33);
    // Twice the same id counts once; the first and the last id are banned too.
    const std::vector<int32_t> ids{0, 40, 7, 7, 13};
    for (SamplingPlan one : {plan(1), plan(1, 0, 0, false), plan(1, 6, 0.9f), plan(1, 6, 0.9f, false)}) {
      one.banned = ids;
      const auto actual = scoreHidden(backend, x, head, rows, {&one, 1});
      expectScores(actual, logits, rows, {&one, 1});
      for (const Score& score : actual)
        expect(std::find(ids.begin(), ids.end(), score.token) == ids.end(), text("token ", score.token));
    }
    std::vector<int32_t> all;
    for (int32_t id = 0; id < vocabulary; ++id) all.push_back(id);
    SamplingPlan nothing = plan(1);
    nothing.banned = all;
    expect(!scoreHidden(backend, x, head, rows, {&nothing, 1})[0].finite, "all banned, and yet a prediction");
    nothing.banned = std::span(all).first(40);
    const Score last = scoreHidden(backend, x, head, rows, {&nothing, 1})[0];
    expect(last.finite && last.token == 40, "the only token that is not banned");
    expect(last.confidence == 0 && last.entropy == 0 && last.margin == 1, "its probability is not 1");
  });
}

void givenMinusInfinity() {
  forEachBackend([](Backend& backend) {
    Noise noise(46);
    for (const auto& one : {plan(1), plan(0.5f, 4), plan(1, 0, 0.7f, false), plan(1, 0, 0, false)}) {
      const Matrix full = noise.matrix(7, 53, DType::f32, 2);
      Matrix holes = full;
      std::vector<int32_t> ids;
      for (int32_t id = 0; id < 53; id += 3) {
        ids.push_back(id);
        for (int64_t row = 0; row < 7; ++row) holes.at(row, id) = -infinity;
      }
      SamplingPlan bans = one;
      bans.banned = ids;
      const auto rows = scoreRows(7);
      const auto actual = scoreLogits(backend, holes, rows, {&one, 1});
      expectScores(actual, full, rows, {&bans, 1});
      expectSameScores(actual, scoreLogits(backend, full, rows, {&bans, 1}), "against banned ids");
    }
    Matrix nothing(1, 53);
    std::fill(nothing.values.begin(), nothing.values.end(), -infinity);
    const SamplingPlan one = plan(1);
    expect(!scoreLogits(backend, nothing, scoreRows(1), {&one, 1})[0].finite, "a row of −∞ alone");
  });
}

void notFinite() {
  forEachBackend([](Backend& backend) {
    Noise noise(47);
    for (const auto& one : {plan(1), plan(0.7f), plan(1, 5, 0.9f, false)}) {
      const Matrix logits = noise.matrix(7, 67);
      const auto rows = scoreRows(7);
      const auto clean = scoreLogits(backend, logits, rows, {&one, 1});
      for (const float bad : {std::nanf(""), infinity})
        for (const int64_t column : {0, 15, 63, 64, 66}) {
          Matrix spoilt = logits;
          spoilt.at(3, column) = bad;
          auto actual = scoreLogits(backend, spoilt, rows, {&one, 1});
          expect(!actual[3].finite, text(bad, " at column ", column, " passes"));
          actual[3] = clean[3];
          expectSameScores(actual, clean, "the other rows");
        }
    }
    // A hidden state with NaN or infinity, and finite ones whose logits overflow either
    // way.
    const HostWeight head(noise.matrix(31, 20, DType::f32, 1e4f), DType::bf16);
    Matrix x = noise.matrix(5, 20, backend.dtype());
    x.at(1, 4) = std::nanf("");
    x.at(2, 19) = -infinity;
    for (int64_t column = 0; column < 20; ++column) x.at(3, column) = roundTo(DType::bf16, 1e38f);
    const SamplingPlan one = plan(1);
    const auto actual = scoreHidden(backend, x, head, scoreRows(5), {&one, 1});
    for (int64_t row = 0; row < 5; ++row)
      expectEqual(actual[static_cast<size_t>(row)].finite, row == 0 || row == 4,
                  text("row ", row, " is finite"));
    // One logit of −∞ beside finite ones is no ban either.
    Matrix one_sided = noise.matrix(31, 20);
    for (int64_t column = 0; column < 20; ++column) one_sided.at(9, column) = -1e4f;
    Matrix large(1, 20);
    std::fill(large.values.begin(), large.values.end(), roundTo(DType::bf16, 1e34f));
    for (int64_t id = 0; id < 31; ++id)
      if (id != 9) std::fill(one_sided.row(id), one_sided.row(id) + 20, 1e-3f);
    const HostWeight overflowing(one_sided, DType::f32);
    expect(!scoreHidden(backend, large, overflowing, scoreRows(1), {&one, 1})[0].finite,
           "a logit of −∞ passes");
  });
}

void positionZero() {
  forEachBackend([](Backend& backend) {
    Noise noise(48);
    const HostWeight head(noise.matrix(31, 20), DType::bf16);
    Matrix x = noise.matrix(3, 20, backend.dtype());
    // There is no row before it: whatever stands in its place is not looked at.
    x.at(1, 0) = std::nanf("");
    const std::vector<ScoreRow> rows{{0, 4, 9}, {1, 0, 17}, {1, 1, 9}};
    const std::vector<SamplingPlan> plans{plan(1), plan(1, 0, 0, false)};
    const auto hidden = scoreHidden(backend, x, head, rows, plans);
    Matrix logits = noise.matrix(3, 31);
    logits.at(1, 3) = infinity;
    for (const auto& scores : {hidden, scoreLogits(backend, logits, rows, plans)}) {
      expect(scores[1].finite, "position 0 is not finite");
      expectEqual(scores[1].token, 17, "token");
      expectEqual(scores[1].confidence, -FLT_MAX, "confidence");
      expectEqual(scores[1].entropy, 0.0f, "entropy");
      expect(scores[1].margin <= 0, text("margin ", scores[1].margin, " is not the lowest"));
      expect(scores[0].finite && scores[0].confidence > -100, "the row before it");
      expect(scores[2].finite && scores[2].confidence > -100, "the row behind it");
    }
  });
}

void temperatureZero() {
  forEachBackend([](Backend& backend) {
    Noise noise(49);
    const Matrix logits = noise.matrix(7, 53);
    const auto rows = scoreRows(7);
    const SamplingPlan least = plan(1e-8f);
    const auto expected = scoreLogits(backend, logits, rows, {&least, 1});
    for (const Score& score : expected) {
      expect(score.finite, "finite");
      expectEqual(score.entropy, 0.0f, "entropy");
      expectEqual(score.confidence, 0.0f, "confidence");
      expectEqual(score.margin, 1.0f, "margin");
    }
    for (const float temperature : {0.0f, 1e-12f}) {
      const SamplingPlan colder = plan(temperature);
      expectSameScores(scoreLogits(backend, logits, rows, {&colder, 1}), expected, text(temperature));
    }
  });
}

void drawsDiffer() {
  forEachBackend([](Backend& backend) {
    const Matrix logits(9, 1000);
    const auto tokens = [&](const SamplingPlan& one, int32_t firstPosition, size_t count) {
      std::vector<ScoreRow> rows;
      Matrix equal(static_cast<int64_t>(count), 1000);
      for (size_t i = 0; i < count; ++i) rows.push_back({0, firstPosition + static_cast<int32_t>(i), 0});
      std::vector<int32_t> result;
      for (const Score& score : scoreLogits(backend, equal, rows, {&one, 1})) result.push_back(score.token);
      return result;
    };
    SamplingPlan one = plan(1, 0, 0, false);
    const auto first = tokens(one, 1, 9);
    expect(tokens(one, 1, 9) == first, "the same call draws something else");
    const auto tail = tokens(one, 4, 6);
    expect(std::equal(tail.begin(), tail.end(), first.begin() + 3), "draws depend on the row");
    expect(std::adjacent_find(first.begin(), first.end()) == first.end(),
           "draws do not depend on the position");
    one.round = 6;
    expect(tokens(one, 1, 9) != first, "draws do not depend on the round");
    one.round = 5;
    for (const uint64_t bit : {uint64_t{1}, uint64_t{1} << 63}) {
      one.seed ^= bit;
      expect(tokens(one, 1, 9) != first, "draws do not depend on the whole seed");
      one.seed ^= bit;
    }
  });
}

void rowsStandAlone() {
  forEachFactory([](const BackendFactory& make) {
    Noise noise(50);
    const auto plans = everyPlan();
    const auto alone = make(1);
    const Matrix x = noise.matrix(129, 45, alone->dtype());
    const HostWeight head(noise.matrix(409, 45, DType::f32, 0.4f), DType::bf16, 1);
    const auto rows = scoreRows(129, static_cast<int32_t>(plans.size()));
    const auto whole = scoreHidden(*alone, x, head, rows, plans);
    for (const int threads : {2, 3})
      expectSameScores(scoreHidden(*make(threads), x, head, rows, plans), whole, text(threads, " threads"));
    for (const size_t count : {size_t{1}, size_t{7}, size_t{33}})
      for (const size_t first : {size_t{0}, size_t{96}})
        expectSameScores(
            scoreHidden(*alone, rowRange(x, static_cast<int64_t>(first), static_cast<int64_t>(count)), head,
                        std::span(rows).subspan(first, count), plans),
            std::span(whole).subspan(first, count), text(count, " rows from ", first));
  });
}

const Tests scoreTests{
    {"scoreLogits: every kind of plan against float64", scoreLogitsMatches},
    {"scoreLogits: 1, 7, 33 and 129 rows of canvases with plans of their own", oddRows},
    {"score: the head's product is scored, every weight type", scoreMatches},
    {"score: a large vocabulary and many rows", largeVocabulary},
    {"scoreLogits: of equal logits the lowest id is predicted, wherever it stands", greedyTies},
    {"scoreLogits: ties at the cut of top-k and top-p keep the lowest ids", equalLogits},
    {"score: banned tokens are never predicted and carry no probability", banned},
    {"scoreLogits: −∞ counts as banned", givenMinusInfinity},
    {"score: NaN and infinity are reported for their row alone", notFinite},
    {"score: position 0 keeps its token, with the lowest confidence and entropy 0", positionZero},
    {"scoreLogits: a temperature below 1e-8 counts as 1e-8", temperatureZero},
    {"scoreLogits: draws depend on seed, round, position and token, not on the row", drawsDiffer},
    {"score: a row has the same bits in any batch, with any number of threads", rowsStandAlone},
};

}  // namespace
}  // namespace rnd1::test
