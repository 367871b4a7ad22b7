#include <algorithm>

#include "quantized_support.h"
#include "score_support.h"

namespace rnd1::test {
namespace {

std::vector<int64_t> allBut(int64_t row, int64_t count) {
  std::vector<int64_t> rows;
  for (int64_t i = 0; i < count; ++i)
    if (i != row) rows.push_back(i);
  return rows;
}

void scoreLogitsMatches() {
  const auto plans = everyPlan();
  forEachBackend([&](Backend& backend) {
    Noise noise(41);
    for (const int64_t vocabulary : {1, 2, 5, 97, 1031, 3001})
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
        // Low temperatures amplify rounding errors of logits, so the backend's own logits are scored.
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

/** Greedy unfiltered plans need no logits; their scores equal those from logits. */
void greedyUnfilteredScores() {
  forEachBackend([](Backend& backend) {
    Noise noise(47);
    std::vector<SamplingPlan> plans{plan(1), plan(0.7f), plan(3.0f)};
    for (const int64_t vocabulary : {1, 2, 63, 65, 307, 1100}) {
      const Scope scope(text("vocabulary ", vocabulary));
      std::vector<int32_t> banned{0, static_cast<int32_t>(vocabulary / 2), 0};
      if (vocabulary > 2) plans[1].banned = banned;
      const Matrix x = noise.matrix(70, 45, backend.dtype());
      // Every weight row occurs twice: the lower of equal tokens must win.
      Matrix weights = noise.matrix(vocabulary, 45, DType::f32, 0.4f);
      for (int64_t row = vocabulary / 2; row < vocabulary; ++row)
        std::copy_n(weights.row(row - vocabulary / 2), 45, weights.row(row));
      const HostWeight head(weights, DType::bf16, 1);
      auto rows = scoreRows(70, 3);
      rows[5] = {rows[5].canvas, 0, 12, false};
      const auto actual = scoreHidden(backend, x, head, rows, plans);
      expect(actual[5].token == 12 && actual[5].entropy == 0,
             "a position that is not predicted keeps its token");
      const Weight placed = backend.place(head.mapped());
      const DeviceMatrix input(backend, x);
      const DeviceMatrix product(backend, 70, vocabulary);
      backend.logits(input, placed, product);
      std::vector<ScoreRow> others = rows;
      others.erase(others.begin() + 5);
      std::vector<Score> scores = actual;
      scores.erase(scores.begin() + 5);
      const Matrix logits = product.host();
      const Matrix kept = selectRows(logits, allBut(5, 70));
      expectScores(scores, kept, others, plans);
      const auto same = scoreLogits(backend, kept, others, plans);
      for (size_t row = 0; row < scores.size(); ++row)
        expectEqual(scores[row].token, same[row].token, text("token of row ", row));
      const auto fewer = scoreHidden(backend, rowRange(x, 7, 3), head, std::span(rows).subspan(7, 3), plans);
      expectSameScores(fewer, std::span(actual).subspan(7, 3), "fewer rows");
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

/** Greedy unfiltered scores equal those of logits; 3 is the first of equal head rows in different parts. */
void expectSameWithLogits(Backend& backend, Noise& noise, const Matrix& values, const Weight& head,
                          int64_t count) {
  const int64_t vocabulary = values.rows;
  Matrix x = noise.matrix(count, values.columns, backend.dtype());
  for (int64_t i = 0; i < x.columns; ++i) x.at(count - 1, i) = roundTo(backend.dtype(), values.at(3, i));
  const int32_t banned[] = {5, 1022, 1022, static_cast<int32_t>(vocabulary) - 1};
  std::vector<SamplingPlan> plans{plan(1), plan(0.3f), plan(0.9f)};
  plans[2].banned = banned;
  const auto rows = scoreRows(count, 3);
  const Weight placed = backend.place(head);
  const auto actual = scoreHidden(backend, x, head, rows, plans);
  const DeviceMatrix input(backend, x);
  const DeviceMatrix product(backend, count, vocabulary);
  backend.logits(input, placed, product);
  expectSameScores(actual, scoreLogits(backend, product.host(), rows, plans), "against scoreLogits");
  expectEqual(actual.back().token, 3, "the first of equal tokens");
  // A plan with draws requires rows of logits.
  plans.push_back(plan(1, 0, 0, false));
  expectSameScores(scoreHidden(backend, x, head, rows, plans), actual, "with rows of logits");
}

void greedyAlone() {
  forEachBackend([](Backend& backend) {
    // On a GPU the last bits of sums differ between the two paths.
    if (backend.device() != "cpu") return countExpectation();
    Noise noise(51);
    for (const int64_t vocabulary : {1023, 1025, 3001}) {
      Matrix values = noise.matrix(vocabulary, 37, DType::f32, 0.4f);
      for (const int64_t token : {700, 1022, 2100})
        if (token < vocabulary) std::copy(values.row(3), values.row(3) + 37, values.row(token));
      const HostWeight wide(values, DType::bf16, 1);
      const QuantizedMatrix bytes(values, {DType::q8, 64}), nibbles(values, {DType::q4, 32});
      for (const int64_t count : {1, 7, 129}) {
        const Scope scope(text(count, " rows, vocabulary ", vocabulary));
        for (const Weight& head : {wide.mapped(), bytes.mapped(), nibbles.mapped()}) {
          const Scope weights(dtypeName(head.dtype));
          expectSameWithLogits(backend, noise, values, head, count);
        }
      }
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

const DeviceTests scoreTests{
    {"scoreLogits: every kind of plan against float64", scoreLogitsMatches},
    {"scoreLogits: 1, 7, 33 and 129 rows of canvases with plans of their own", oddRows},
    {"score: the LM head's logits are scored, every weight type", scoreMatches},
    {"score: greedy unfiltered plans are scored without logits, and alike", greedyUnfilteredScores},
    {"score: a large vocabulary and many rows", largeVocabulary},
    {"score: greedy decisions and bits do not depend on whether rows of logits exist", greedyAlone},
    {"scoreLogits: draws depend on seed, round, position and token, not on the row", drawsDiffer},
    {"score: a row has the same bits in any batch, with any number of threads", rowsStandAlone},
};

}  // namespace
}  // namespace rnd1::test
