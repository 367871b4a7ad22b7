#include <algorithm>
#include <numeric>
#include <set>

#include "backends.h"

namespace rnd1::test {
namespace {

/** The arrays of a Dispatch. */
struct DeviceDispatch {
  DeviceDispatch(Backend& backend, int64_t rows, int64_t experts, int64_t expertsPerToken)
      : logits(backend, static_cast<size_t>(rows * experts)),
        ids(backend, static_cast<size_t>(rows * expertsPerToken)),
        weights(backend, static_cast<size_t>(rows * expertsPerToken)),
        offsets(backend, static_cast<size_t>(experts + 1)),
        slots(backend, static_cast<size_t>(rows * expertsPerToken)) {
    view = {rows,       expertsPerToken, experts,        logits.data(),
            ids.data(), weights.data(),  offsets.data(), slots.data()};
  }

  DeviceArray<float> logits;
  DeviceArray<int32_t> ids;
  DeviceArray<float> weights;
  DeviceArray<int32_t> offsets;
  DeviceArray<int32_t> slots;
  Dispatch view;
};

struct Routing {
  Matrix logits;             // (rows, experts)
  std::vector<int32_t> ids;  // (rows, k)
  Matrix weights;            // (rows, k)
  std::vector<int32_t> offsets;
  std::vector<int32_t> slots;
};

Limits limitsOf(int64_t rows, int64_t hidden, int64_t width, int64_t experts, int64_t expertsPerToken) {
  Limits limits;
  limits.rows = rows;
  limits.innerColumns = std::max(hidden, width);
  limits.experts = experts;
  limits.expertWidth = width;
  limits.expertsPerToken = expertsPerToken;
  return limits;
}

Routing hostOf(const DeviceDispatch& dispatch) {
  Routing result;
  result.logits = Matrix(dispatch.view.rows, dispatch.view.experts);
  result.logits.values = dispatch.logits.host();
  result.ids = dispatch.ids.host();
  result.weights = Matrix(dispatch.view.rows, dispatch.view.expertsPerToken);
  result.weights.values = dispatch.weights.host();
  result.offsets = dispatch.offsets.host();
  result.slots = dispatch.slots.host();
  return result;
}

Routing route(Backend& backend, const Matrix& x, const HostWeight& router, int64_t experts,
              int64_t expertsPerToken, bool normalise, const std::vector<int32_t>& forced = {}) {
  backend.reserve(limitsOf(x.rows, x.columns, 1, experts, expertsPerToken));
  const DeviceMatrix input(backend, x);
  DeviceDispatch dispatch(backend, x.rows, experts, expertsPerToken);
  const DeviceArray<int32_t> forcedIds(backend, forced);
  const RouteOptions options{expertsPerToken, normalise, forced.empty() ? nullptr : forcedIds.data()};
  backend.route(input, backend.place(router.mapped()), options, dispatch.view);
  return hostOf(dispatch);
}

/** Every slot once, grouped by its expert, ascending within. */
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

/** The softmax of the row's router logits at its ids, normalised when asked for. */
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

/** The ids are the best k by float64, best first, but for candidates that f32 cannot tell apart. */
void expectBest(const Routing& routing, const DoubleMatrix& logits) {
  const int64_t k = routing.weights.columns;
  for (int64_t row = 0; row < logits.rows; ++row) {
    std::vector<int32_t> order(static_cast<size_t>(logits.columns));
    std::iota(order.begin(), order.end(), 0);
    std::stable_sort(order.begin(), order.end(),
                     [&](int32_t a, int32_t b) { return logits.at(row, a) > logits.at(row, b); });
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
          const Routing actual = route(backend, x, router, shape.experts, shape.expertsPerToken, normalise);
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
    // Experts 0, 3, 6, … share one row of the router, and so on: every logit is tied.
    const Matrix distinct = noise.matrix(3, 20, DType::f32, 0.3f);
    Matrix values(17, 20);
    for (int64_t expert = 0; expert < 17; ++expert)
      std::copy(distinct.row(expert % 3), distinct.row(expert % 3) + 20, values.row(expert));
    const HostWeight router(values, DType::f32);
    const Matrix x = noise.matrix(9, 20, backend.dtype());
    const DoubleMatrix logits = oracle::matmul(x, router.values(backend.dtype()));
    const Routing actual = route(backend, x, router, 17, 8, true);
    for (int64_t row = 0; row < 9; ++row) {
      std::vector<int32_t> classes{0, 1, 2};
      std::sort(classes.begin(), classes.end(),
                [&](int32_t a, int32_t b) { return logits.at(row, a) > logits.at(row, b); });
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
      const Routing actual = route(backend, x, router, 12, 3, normalise, forced);
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
    const Routing clean = route(backend, x, router, 16, 4, true);
    std::fill(x.row(2), x.row(2) + 24, std::nanf(""));
    x.at(5, 7) = INFINITY;
    const Routing actual = route(backend, x, router, 16, 4, true);
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

/** Experts of all weight types, and their values as products see them. */
struct ExpertSet {
  ExpertSet(Noise& noise, int64_t count, int64_t hidden, int64_t width, std::span<const DType> dtypes) {
    for (int64_t expert = 0; expert < count; ++expert) {
      const DType dtype = dtypes[static_cast<size_t>(expert) % dtypes.size()];
      const auto misalignment = static_cast<size_t>(expert % 4);
      weights.emplace_back(noise.matrix(width, hidden, DType::f32, 0.3f), dtype, misalignment);
      weights.emplace_back(noise.matrix(width, hidden, DType::f32, 0.3f), dtype, 3 - misalignment);
      weights.emplace_back(noise.matrix(hidden, width, DType::f32, 0.3f), dtype, misalignment);
    }
  }

  std::vector<ExpertWeights> placed(Backend& backend) const {
    std::vector<ExpertWeights> result;
    for (size_t i = 0; i < weights.size(); i += 3)
      result.push_back({backend.place(weights[i].mapped()), backend.place(weights[i + 1].mapped()),
                        backend.place(weights[i + 2].mapped())});
    return result;
  }

  oracle::Expert values(int64_t expert, DType arithmetic) const {
    const auto first = static_cast<size_t>(expert) * 3;
    return {weights[first].values(arithmetic), weights[first + 1].values(arithmetic),
            weights[first + 2].values(arithmetic)};
  }

  std::vector<HostWeight> weights;  // gate, up, down of every expert
};

struct ExpertsCase {
  int64_t hidden, width, experts, expertsPerToken;
};

/** Routes x as forced and runs the experts. */
Matrix runExperts(Backend& backend, const ExpertsCase& shape, const ExpertSet& experts,
                  const HostWeight& router, const Matrix& x, const std::vector<int32_t>& forced,
                  Routing* routing = nullptr) {
  backend.reserve(limitsOf(x.rows, shape.hidden, shape.width, shape.experts, shape.expertsPerToken));
  const DeviceMatrix input(backend, x);
  DeviceDispatch dispatch(backend, x.rows, shape.experts, shape.expertsPerToken);
  const DeviceArray<int32_t> forcedIds(backend, forced);
  const RouteOptions options{shape.expertsPerToken, true, forced.empty() ? nullptr : forcedIds.data()};
  backend.route(input, backend.place(router.mapped()), options, dispatch.view);
  const DeviceMatrix activated(backend, x.rows * shape.expertsPerToken, shape.width);
  const DeviceMatrix out(backend, x.rows, shape.hidden);
  const auto placed = experts.placed(backend);
  backend.experts(input, placed, dispatch.view, activated, out);
  if (routing) {
    *routing = hostOf(dispatch);
    expectRounded(activated.host(), backend.dtype(), "activation");
  }
  return out.host();
}

void expectExperts(Backend& backend, const ExpertsCase& shape, const ExpertSet& experts,
                   const HostWeight& router, const Matrix& x, const std::vector<int32_t>& forced = {}) {
  Routing routing;
  const Matrix actual = runExperts(backend, shape, experts, router, x, forced, &routing);
  const DoubleMatrix wide = x;
  DoubleMatrix expected(x.rows, shape.hidden);
  std::vector<oracle::Expert> values;
  for (int64_t expert = 0; expert < shape.experts; ++expert)
    values.push_back(experts.values(expert, backend.dtype()));
  for (int64_t row = 0; row < x.rows; ++row)
    for (int64_t rank = 0; rank < shape.expertsPerToken; ++rank) {
      const auto slot = static_cast<size_t>(row * shape.expertsPerToken + rank);
      const auto part = oracle::mlp(wide.row(row), values[static_cast<size_t>(routing.ids[slot])]);
      for (int64_t column = 0; column < shape.hidden; ++column)
        expected.at(row, column) += routing.weights.values[slot] * part[static_cast<size_t>(column)];
    }
  expectClose(actual, expected, tolerance(backend.dtype(), Rounding::inside), "experts");
}

constexpr ExpertsCase oddExperts{45, 19, 6, 2};

void expertsMatch() {
  constexpr ExpertsCase shapes[] = {oddExperts, {64, 33, 5, 1}, {40, 24, 4, 4}, {32, 16, 9, 3}, {1, 1, 2, 1}};
  forEachBackend([&](Backend& backend) {
    Noise noise(35);
    for (const int64_t rows : {1, 7, 33, 129})
      for (const ExpertsCase& shape : shapes) {
        const Scope scope(text(rows, " rows, ", shape.expertsPerToken, " of ", shape.experts));
        const ExpertSet experts(noise, shape.experts, shape.hidden, shape.width, allDTypes);
        const HostWeight router(noise.matrix(shape.experts, shape.hidden), DType::f32);
        expectExperts(backend, shape, experts, router, noise.matrix(rows, shape.hidden, backend.dtype()));
      }
  });
}

void crowdedExperts() {
  forEachBackend([](Backend& backend) {
    Noise noise(36);
    const ExpertsCase shape{45, 19, 11, 1};
    const ExpertSet experts(noise, shape.experts, shape.hidden, shape.width, allDTypes);
    const HostWeight router(noise.matrix(shape.experts, shape.hidden), DType::f32);
    for (const int64_t rows : {1, 33, 129})
      for (const int32_t only : {0, 4, 10}) {
        const Scope scope(text(rows, " rows, expert ", only));
        const std::vector<int32_t> forced(static_cast<size_t>(rows), only);
        expectExperts(backend, shape, experts, router, noise.matrix(rows, shape.hidden, backend.dtype()),
                      forced);
      }
  });
}

void expertsStandAlone() {
  forEachFactory([](const BackendFactory& make) {
    Noise noise(37);
    const auto alone = make(1);
    const ExpertSet experts(noise, oddExperts.experts, oddExperts.hidden, oddExperts.width, allDTypes);
    const HostWeight router(noise.matrix(oddExperts.experts, oddExperts.hidden), DType::bf16);
    const Matrix x = noise.matrix(129, oddExperts.hidden, alone->dtype());
    Routing routing;
    const Matrix whole = runExperts(*alone, oddExperts, experts, router, x, {}, &routing);
    for (const int threads : {2, 3}) {
      Routing other;
      const Matrix actual = runExperts(*make(threads), oddExperts, experts, router, x, {}, &other);
      expectSameBits(actual.values, whole.values, text(threads, " threads"));
      expect(other.ids == routing.ids, text("routing with ", threads, " threads"));
    }
    for (const int64_t count : {1, 2, 7, 33})
      for (const int64_t first : {0, 50, 96}) {
        Routing other;
        const Matrix actual =
            runExperts(*alone, oddExperts, experts, router, rowRange(x, first, count), {}, &other);
        const auto what = text(count, " rows from ", first);
        expectSameBits(actual.values, rowRange(whole, first, count).values, what);
        expectSameBits(other.logits.values, rowRange(routing.logits, first, count).values, what + ": logits");
        expectSameBits(other.weights.values, rowRange(routing.weights, first, count).values,
                       what + ": weights");
      }
  });
}

void specialValues() {
  forEachBackend([](Backend& backend) {
    Noise noise(38);
    const ExpertSet experts(noise, oddExperts.experts, oddExperts.hidden, oddExperts.width, allDTypes);
    const HostWeight router(noise.matrix(oddExperts.experts, oddExperts.hidden), DType::bf16);
    Matrix x = noise.matrix(9, oddExperts.hidden, backend.dtype());
    const Matrix clean = runExperts(backend, oddExperts, experts, router, x, {});
    x.at(4, 11) = std::nanf("");
    const Matrix actual = runExperts(backend, oddExperts, experts, router, x, {});
    for (int64_t row = 0; row < 9; ++row) {
      if (row == 4) {
        expect(std::isnan(actual.at(row, 0)), "the NaN is lost");
      } else {
        expectSameBits(rowRange(actual, row, 1).values, rowRange(clean, row, 1).values, text("row ", row));
      }
    }
  });
}

void mlpMatches() {
  forEachBackend([](Backend& backend) {
    Noise noise(39);
    for (const DType dtype : allDTypes) {
      const ExpertSet dense(noise, 1, 45, 70, {&dtype, 1});
      const ExpertWeights placed = dense.placed(backend)[0];
      const oracle::Expert values = dense.values(0, backend.dtype());
      Matrix whole;
      const Matrix all = noise.matrix(129, 45, backend.dtype());
      for (const int64_t rows : {129, 33, 7, 1}) {
        const Scope scope(text(dtypeName(dtype), " weights, ", rows, " rows"));
        const Matrix x = rowRange(all, 0, rows);
        backend.reserve(limitsOf(rows, 45, 70, 1, 1));
        const DeviceMatrix input(backend, x);
        const DeviceMatrix activated(backend, rows, 70);
        const DeviceMatrix out(backend, rows, 45);
        backend.mlp(input, placed, activated, out);
        const DoubleMatrix wide = x;
        DoubleMatrix expected(rows, 45);
        for (int64_t row = 0; row < rows; ++row) {
          const auto part = oracle::mlp(wide.row(row), values);
          std::copy(part.begin(), part.end(), expected.row(row));
        }
        const Matrix actual = out.host();
        expectClose(actual, expected, tolerance(backend.dtype(), Rounding::inside), "mlp");
        expectRounded(activated.host(), backend.dtype(), "activation");
        if (rows == 129) whole = actual;
        expectSameBits(actual.values, rowRange(whole, 0, rows).values, "alone");
      }
    }
  });
}

const Tests expertsTests{
    {"route: the best k, weights and grouping against float64", routesToTheBest},
    {"route: of equal experts the lower id comes first", routeTies},
    {"route: forced experts keep their order and the router's weights", forcedExperts},
    {"route: a row of NaN or infinity is routed somewhere and disturbs no other", routeOfNan},
    {"experts: odd sizes, every weight type, k from 1 to all, against float64", expertsMatch},
    {"experts: all rows pick one expert, most experts are picked by nobody", crowdedExperts},
    {"experts: a row has the same bits in any batch, with any number of threads", expertsStandAlone},
    {"experts: NaN stays in its row", specialValues},
    {"mlp: odd sizes and every weight type against float64, rows stand alone", mlpMatches},
};

}  // namespace
}  // namespace rnd1::test
