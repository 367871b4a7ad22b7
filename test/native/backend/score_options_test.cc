// The options of the families' samplers: top-p before top-k, confidences of raw logits, zeroed ids, guidance.
#include <algorithm>
#include <cfloat>

#include "score_support.h"

namespace rnd1::test {
namespace {

void optionsMatch() {
  forEachBackend([](Backend& backend) {
    Noise noise(55);
    for (const int64_t vocabulary : {1, 2, 97, 1031}) {
      const Matrix given = noise.matrix(3, vocabulary, DType::f32, 2.5f);
      // Among them the likeliest token of the first row.
      const auto best = std::max_element(given.row(0), given.row(0) + vocabulary) - given.row(0);
      const std::vector<int32_t> some{0, static_cast<int32_t>(best), static_cast<int32_t>(vocabulary - 1)};
      std::vector<int32_t> banned;
      if (vocabulary > 2) banned = {1, 1, 50};
      // A canvas for each plan with each combination of options.
      std::vector<SamplingPlan> plans;
      for (SamplingPlan one : everyPlan())
        for (int options = 0; options < 8; ++options) {
          one.topPFirst = (options & 1) != 0;
          one.rawConfidence = (options & 2) != 0;
          one.zeroed = (options & 4) != 0 ? std::span<const int32_t>(some) : std::span<const int32_t>();
          one.banned = banned;
          plans.push_back(one);
        }
      const auto count = static_cast<int64_t>(plans.size());
      Matrix logits(count, vocabulary);
      for (int64_t row = 0; row < count; ++row) std::copy_n(given.row(row % 3), vocabulary, logits.row(row));
      const auto rows = scoreRows(count, static_cast<int32_t>(count));
      const Scope scope(text("vocabulary ", vocabulary));
      expectScores(scoreLogits(backend, logits, rows, plans), logits, rows, plans);
    }
  });
}

/** Against numbers that are easy to see. */
void topPBeforeTopK() {
  forEachBackend([](Backend& backend) {
    struct Case {
      std::vector<float> logits;
      int32_t topK;
      float topP;
      int64_t kept;
    };
    const std::vector<float> ties{3, 2, 2, 2, 1}, equal(64, 0.0f);
    const Case cases[] = {{ties, 2, 0, 4},        {ties, 4, 0, 4},      {ties, 5, 0, 5},
                          {ties, 1, 0, 1},        {ties, 9, 0, 5},      {equal, 5, 0, 64},
                          {equal, 0, 0.5f, 33},   {equal, 0, 1e-6f, 1}, {equal, 5, 0.5f, 33},
                          {equal, 5, 1e-6f, 1},   {ties, 2, 0.5f, 2},   {ties, 1, 0.9f, 1},
                          {{5, 0, 0}, 0, 0.5f, 1}};
    for (const Case& given : cases) {
      const Scope scope(text("of ", given.logits.size(), " top-p ", given.topP, ", top-k ", given.topK));
      Matrix logits(1, static_cast<int64_t>(given.logits.size()));
      logits.values = given.logits;
      SamplingPlan one = plan(1, given.topK, given.topP);
      one.topPFirst = true;
      const Score score = scoreLogits(backend, logits, scoreRows(1), {&one, 1})[0];
      double sum = 0;
      for (int64_t id = 0; id < given.kept; ++id)
        sum += std::exp(double{given.logits[static_cast<size_t>(id)]} - given.logits[0]);
      expectEqual(score.token, 0, "token");
      expect(std::abs(score.confidence + std::log(sum)) < 1e-6, text("confidence ", score.confidence));
    }
  });
}

void zeroedIds() {
  forEachBackend([](Backend& backend) {
    Noise noise(56);
    const Matrix logits = noise.matrix(5, 37, DType::f32, 2);
    std::vector<int32_t> all(37);
    for (size_t id = 0; id < all.size(); ++id) all[id] = static_cast<int32_t>(id);
    for (SamplingPlan one : {plan(1), plan(0.5f, 3, 0.9f, false), plan(1, 0, 0, false)})
      for (const bool raw : {false, true}) {
        one.zeroed = {};
        one.rawConfidence = raw;
        const auto before = scoreLogits(backend, logits, scoreRows(5), {&one, 1});
        one.zeroed = all;
        const auto after = scoreLogits(backend, logits, scoreRows(5), {&one, 1});
        for (size_t row = 0; row < 5; ++row) {
          expectEqual(after[row].token, before[row].token, "the prediction");
          expect(after[row].finite && after[row].confidence == -FLT_MAX && after[row].entropy == 0 &&
                     after[row].margin == 0,
                 "there is something left of nothing");
        }
      }
    // NaN is found in zeroed ids, too.
    Matrix spoilt = logits;
    spoilt.at(2, 4) = NAN;
    SamplingPlan one = plan(1);
    one.zeroed = std::span(all).subspan(4, 1);
    const auto scores = scoreLogits(backend, spoilt, scoreRows(5), {&one, 1});
    for (size_t row = 0; row < 5; ++row) expect(scores[row].finite == (row != 2), text("row ", row));
  });
}

void guided() {
  forEachBackend([](Backend& backend) {
    Noise noise(57);
    for (const int64_t count : {1, 7, 70}) {
      const Scope scope(text(count, " rows"));
      const Matrix x = noise.matrix(count, 45, backend.dtype()), y = noise.matrix(count, 45, backend.dtype());
      const HostWeight head(noise.matrix(307, 45, DType::f32, 0.4f), DType::bf16, 1);
      std::vector<SamplingPlan> plans{plan(1), plan(0.7f, 5), plan(1, 0, 0.9f, false), plan(1, 0, 0, false)};
      const std::vector<int32_t> ids{3, 300};
      plans[0].banned = plans[3].zeroed = ids;
      const float scales[] = {0, 1.5f, -1, 0.3f};
      for (size_t i = 0; i < plans.size(); ++i) plans[i].guidance = scales[i];
      const auto rows = scoreRows(count, static_cast<int32_t>(plans.size()));
      const auto actual = scoreGuided(backend, x, y, head.mapped(), rows, plans);
      const Weight placed = backend.place(head.mapped());
      const auto logitsOf = [&](const Matrix& states) {
        const DeviceMatrix input(backend, states), product(backend, count, 307);
        backend.logits(input, placed, product);
        return product.host();
      };
      Matrix logits = logitsOf(x);
      const Matrix others = logitsOf(y);
      for (int64_t row = 0; row < count; ++row)
        for (int64_t id = 0; id < 307; ++id) {
          const float factor = scales[rows[static_cast<size_t>(row)].canvas] + 1;
          const float product = factor * (logits.at(row, id) - others.at(row, id));
          logits.at(row, id) = others.at(row, id) + product;
        }
      expectSameScores(actual, scoreLogits(backend, logits, rows, plans), "against logits combined by hand");
    }
  });
}

const DeviceTests scoreOptionTests{
    {"score options: order of filters, raw confidence and zeroed ids against float64", optionsMatch},
    {"score options: top-p first keeps at least one token, top-k after it all ties", topPBeforeTopK},
    {"score options: zeroed ids change everything but the prediction", zeroedIds},
    {"score options: guidance scores u + (scale + 1) · (l − u)", guided},
};

}  // namespace
}  // namespace rnd1::test
