#include <algorithm>
#include <cfloat>
#include <limits>

#include "core/random.h"
#include "score_support.h"

namespace rnd1::test {
namespace {

constexpr float infinity = std::numeric_limits<float>::infinity();

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
  constexpr int64_t rounds = 125, vocabulary = 64;
  forEachBackend([](Backend& backend) {
    const Matrix logits(rounds, vocabulary);  // all equal: every p is 1/64 exactly
    const auto rows = scoreRows(rounds, rounds);
    struct Case {
      int32_t topK;
      float topP;
      int64_t kept;
    };
    // Rank j ≥ 3 stays while the sum up to rank j − 1 is ≤ p: equality counts.
    constexpr Case cases[] = {{5, 0, 5},      {1, 0, 1},       {64, 0, 64},  {0, 0.5f, 33},  {0, 1e-6f, 2},
                              {0, 0.25f, 17}, {0, 0.249f, 16}, {8, 0.5f, 5}, {3, 0.999f, 3}, {1, 0.5f, 1}};
    for (const Case& given : cases) {
      const Scope scope(text("top-k ", given.topK, ", top-p ", given.topP));
      std::vector<SamplingPlan> plans(rounds, plan(1, given.topK, given.topP, false));
      for (uint32_t round = 0; round < rounds; ++round) plans[round].round = round;
      std::vector<int> counts(vocabulary);
      for (const Score& score : scoreLogits(backend, logits, rows, plans)) {
        ++counts[static_cast<size_t>(score.token)];
        const double expected = std::log(static_cast<double>(given.kept));
        expect(std::abs(score.entropy - expected) < 1e-6,
               text("entropy ", score.entropy, ", expected ", expected));
        expect(std::abs(score.confidence + expected) < 1e-6, text("confidence ", score.confidence));
        expectEqual(score.margin, given.kept == 1 ? 1.0f : 0.0f, "margin");
      }
      for (int64_t id = 0; id < vocabulary; ++id) {
        const int count = counts[static_cast<size_t>(id)];
        if (id >= given.kept) expectEqual(count, 0, text("draws of token ", id));
        if (given.kept <= 8 && id < given.kept)
          expect(count > 5, text("token ", id, " is drawn ", count, " times"));
      }
    }
  });
}

/** So many probabilities that a part of each that is lost would move the cut. */
void manyProbabilities() {
  forEachBackend([](Backend& backend) {
    Matrix logits(1, 80000);
    for (int64_t id = 0; id < logits.columns; ++id) logits.at(0, id) = id % 4 == 1 ? -4.0f : 1.0f;
    // Half of the unlikely tokens are kept.
    const std::vector<SamplingPlan> plans{plan(1, 0, 0.999f)};
    const auto rows = scoreRows(1);
    expectScores(scoreLogits(backend, logits, rows, plans), logits, rows, plans);
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
    // A hidden state with NaN or infinity, and finite ones whose logits overflow to ±∞.
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
    // A single −∞ among finite logits is no ban either.
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
    // There is no row before it: the contents of its place are not read.
    x.at(1, 0) = std::nanf("");
    const std::vector<ScoreRow> rows{{0, 4, 9}, {1, 0, 17, false}, {1, 1, 9}};
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
    const SamplingPlan coldest = plan(1e-8f);
    const auto expected = scoreLogits(backend, logits, rows, {&coldest, 1});
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

/** All keys of a draw are equal up to the last bits of an f32: float64 decides. */
void closeDraws() {
  forEachBackend([](Backend& backend) {
    const SamplingPlan one = plan(1, 0, 0, false);
    const auto rows = scoreRows(7);
    Matrix logits(7, 1500);
    for (int64_t row = 0; row < logits.rows; ++row)
      for (int64_t id = 0; id < logits.columns; ++id) {
        const auto token = static_cast<uint32_t>(id);
        const auto position = static_cast<uint32_t>(rows[static_cast<size_t>(row)].position);
        const auto words = philox(one.seed, drawCounter(token, position, one.round));
        logits.at(row, id) = static_cast<float>(std::log(-std::log(double{uniform(words[token & 3])})));
      }
    const auto actual = scoreLogits(backend, logits, rows, {&one, 1});
    for (int64_t row = 0; row < logits.rows; ++row) {
      const auto index = static_cast<size_t>(row);
      const auto truth = oracle::score({logits.row(row), 1500}, one, rows[index].position);
      expectEqual(actual[index].token, truth.token, text("draw of row ", row));
    }
  });
}

/** Finite logits with an infinite difference. */
void farApart() {
  forEachBackend([](Backend& backend) {
    const auto rows = scoreRows(1);
    Matrix logits(1, 130);
    for (int64_t id = 0; id < 130; ++id) logits.at(0, id) = id % 3 == 1 ? 2e38f : -2e38f;
    for (const auto& one : {plan(1), plan(1, 50, 0.9f), plan(1, 0, 0, false)})
      expectScores(scoreLogits(backend, logits, rows, {&one, 1}), logits, rows, {&one, 1});
    if (backend.dtype() == DType::f16) return;  // holds no such values
    Matrix x(1, 1), weights(130, 1);
    x.at(0, 0) = 0x1p63f;
    for (int64_t id = 0; id < 130; ++id) weights.at(id, 0) = id % 3 == 1 ? 0x1p64f : -0x1p64f;
    const SamplingPlan one = plan(1);
    const auto actual = scoreHidden(backend, x, HostWeight(weights, DType::bf16), rows, {&one, 1});
    expectScores(actual, logits, rows, {&one, 1});
  });
}

const DeviceTests scoreEdgeTests{
    {"scoreLogits: of draws that f32 cannot tell apart, float64's wins", closeDraws},
    {"score: finite logits may be further apart than f32 reaches", farApart},
    {"scoreLogits: of equal logits the lowest id is predicted, wherever it stands", greedyTies},
    {"scoreLogits: ties at the cut of top-k and top-p keep the lowest ids", equalLogits},
    {"scoreLogits: top-p adds the probabilities of tens of thousands of tokens", manyProbabilities},
    {"score: banned tokens are never predicted and carry no probability", banned},
    {"scoreLogits: −∞ counts as banned", givenMinusInfinity},
    {"score: NaN and infinity are reported for their row alone", notFinite},
    {"score: position 0 keeps its token, with the lowest confidence and entropy 0", positionZero},
    {"scoreLogits: a temperature below 1e-8 counts as 1e-8", temperatureZero},
};

}  // namespace
}  // namespace rnd1::test
