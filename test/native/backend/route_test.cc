#include <algorithm>
#include <set>

#include "route_support.h"

namespace rnd1::test {
namespace {

Routing route(Backend& backend, const Matrix& x, const HostWeight& router, int64_t expertsPerToken,
              bool normalise, const std::vector<int32_t>& forced = {}) {
  const DeviceArray<int32_t> forcedIds(backend, forced);
  return test::route(backend, x, router,
                     {expertsPerToken, normalise, forced.empty() ? nullptr : forcedIds.data()});
}

/** Every slot occurs once, grouped by expert, ascending within a group. */
void expectGrouped(const Routing& routing, int64_t rows, int64_t experts, int64_t expertsPerToken) {
  std::vector<int32_t> expectedOffsets{0};
  std::vector<int32_t> expectedSlots;
  for (int64_t expert = 0; expert < experts; ++expert) {
    for (int64_t slot = 0; slot < rows * expertsPerToken; ++slot)
      if (routing.ids[static_cast<size_t>(slot)] == expert)
        expectedSlots.push_back(static_cast<int32_t>(slot));
    expectedOffsets.push_back(static_cast<int32_t>(expectedSlots.size()));
  }
  expect(routing.offsets == expectedOffsets, "offsets do not group the slots by expert");
  expect(routing.slots == expectedSlots, "slots are not those of the experts, ascending");
}

/** The softmax of the row's router logits at its ids, optionally normalised. */
DoubleMatrix expectedWeights(const DoubleMatrix& probabilities, const Routing& routing, bool normalise) {
  DoubleMatrix result(routing.weights.rows, routing.weights.columns);
  for (int64_t row = 0; row < result.rows; ++row) {
    double sum = 0;
    for (int64_t rank = 0; rank < result.columns; ++rank) {
      const int32_t id = routing.ids[static_cast<size_t>(row * result.columns + rank)];
      sum += result.at(row, rank) = probabilities.at(row, id);
    }
    for (int64_t rank = 0; normalise && rank < result.columns; ++rank) result.at(row, rank) /= sum;
  }
  return result;
}

/** The ids are the best k by float64, best first, except candidates that f32 cannot distinguish. */
void expectBest(const Routing& routing, const DoubleMatrix& logits) {
  const int64_t k = routing.weights.columns;
  for (int64_t row = 0; row < logits.rows; ++row) {
    const auto order = oracle::descending({logits.row(row), static_cast<size_t>(logits.columns)});
    std::set<int32_t> seen;
    for (int64_t rank = 0; rank < k; ++rank) {
      const int32_t id = routing.ids[static_cast<size_t>(row * k + rank)];
      if (!expect(id >= 0 && id < logits.columns, text("row ", row, ": expert ", id, " does not exist")))
        return;
      expect(seen.insert(id).second, text("row ", row, ": expert ", id, " is picked twice"));
      const int32_t best = order[static_cast<size_t>(rank)];
      expect(id == best || std::abs(logits.at(row, id) - logits.at(row, best)) < decisionSlack,
             text("row ", row, ", rank ", rank, ": expert ", id, ", expected ", best));
    }
  }
}

void routesToTheBest() {
  struct Shape {
    int64_t experts, expertsPerToken;
  };
  constexpr Shape shapes[] = {{1, 1}, {5, 1}, {5, 5}, {8, 2}, {128, 8}, {33, 7}};
  forEachBackend([&](Backend& backend) {
    Noise noise(31);
    for (const int64_t rows : {1, 7, 33, 129})
      for (const Shape& shape : shapes)
        for (const bool normalise : {false, true}) {
          const Scope scope(text(rows, " rows, ", shape.expertsPerToken, " of ", shape.experts));
          const Matrix x = noise.matrix(rows, 45, backend.dtype());
          const HostWeight router(noise.matrix(shape.experts, 45, DType::f32, 0.2f), DType::bf16, 1);
          const Routing actual = route(backend, x, router, shape.expertsPerToken, normalise);
          const DoubleMatrix logits = oracle::matmul(x, router.values(backend.dtype()));
          const double bound = tolerance(backend.dtype(), Rounding::none);
          expectClose(actual.logits, logits, bound, "router logits");
          expectBest(actual, logits);
          expectClose(actual.weights, expectedWeights(oracle::softmax(logits), actual, normalise), bound,
                      "weights");
          expectGrouped(actual, rows, shape.experts, shape.expertsPerToken);
        }
  });
}

void routeTies() {
  forEachBackend([](Backend& backend) {
    Noise noise(32);
    // Experts 0, 3, 6, … share one row of the router, and so do the others: every logit is tied.
    const Matrix distinct = noise.matrix(3, 20, DType::f32, 0.3f);
    Matrix values(17, 20);
    for (int64_t expert = 0; expert < 17; ++expert)
      std::copy(distinct.row(expert % 3), distinct.row(expert % 3) + 20, values.row(expert));
    const HostWeight router(values, DType::f32);
    const Matrix x = noise.matrix(9, 20, backend.dtype());
    const DoubleMatrix logits = oracle::matmul(x, router.values(backend.dtype()));
    const Routing actual = route(backend, x, router, 8, true);
    for (int64_t row = 0; row < 9; ++row) {
      const auto classes = oracle::descending({logits.row(row), 3});
      std::vector<int32_t> expected;
      for (const int32_t first : classes)
        for (int32_t id = first; id < 17; id += 3) expected.push_back(id);
      for (size_t rank = 0; rank < 8; ++rank)
        expectEqual(actual.ids[static_cast<size_t>(row) * 8 + rank], expected[rank],
                    text("row ", row, ", rank ", rank));
    }
  });
}

void forcedExperts() {
  forEachBackend([](Backend& backend) {
    Noise noise(33);
    const int64_t rows = 33;
    const Matrix x = noise.matrix(rows, 24, backend.dtype());
    const HostWeight router(noise.matrix(12, 24, DType::f32, 0.4f), DType::f16);
    std::vector<int32_t> forced;
    for (int64_t row = 0; row < rows; ++row) {
      const auto first = static_cast<int32_t>(noise.below(12));
      for (const int32_t step : {0, 5, 3}) forced.push_back((first + step) % 12);
    }
    const DoubleMatrix probabilities = oracle::softmax(oracle::matmul(x, router.values(backend.dtype())));
    for (const bool normalise : {false, true}) {
      const Routing actual = route(backend, x, router, 3, normalise, forced);
      expect(actual.ids == forced, "the ids are not the forced ones");
      expectClose(actual.weights, expectedWeights(probabilities, actual, normalise),
                  tolerance(backend.dtype(), Rounding::none), "weights");
      expectGrouped(actual, rows, 12, 3);
    }
  });
}

void routeOfNan() {
  forEachBackend([](Backend& backend) {
    Noise noise(34);
    Matrix x = noise.matrix(7, 24, backend.dtype());
    const HostWeight router(noise.matrix(16, 24), DType::bf16);
    const Routing clean = route(backend, x, router, 4, true);
    std::fill(x.row(2), x.row(2) + 24, std::nanf(""));
    x.at(5, 7) = INFINITY;
    const Routing actual = route(backend, x, router, 4, true);
    for (int64_t row = 0; row < 7; ++row) {
      std::set<int32_t> seen;
      for (int64_t rank = 0; rank < 4; ++rank) {
        const auto slot = static_cast<size_t>(row * 4 + rank);
        const int32_t id = actual.ids[slot];
        expect(id >= 0 && id < 16 && seen.insert(id).second, text("row ", row, ": expert ", id));
        if (row == 2 || row == 5) continue;
        expectEqual(id, clean.ids[slot], text("row ", row, ", rank ", rank));
        expectEqual(actual.weights.values[slot], clean.weights.values[slot], text("weight of row ", row));
      }
    }
    expectGrouped(actual, 7, 16, 4);
  });
}

const DeviceTests routeTests{
    {"route: the best k, weights and grouping against float64", routesToTheBest},
    {"route: of equal experts the lower id comes first", routeTies},
    {"route: forced experts keep their order and the router's weights", forcedExperts},
    {"route: a row of NaN or infinity is routed somewhere and disturbs no other", routeOfNan},
};

}  // namespace
}  // namespace rnd1::test
