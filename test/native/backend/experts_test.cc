#include <algorithm>

#include "route_support.h"

namespace rnd1::test {
namespace {

/** Experts of all weight types, and their values as used in matmuls. */
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

  oracle::Expert values(int64_t expert, DType computeDtype) const {
    const auto first = static_cast<size_t>(expert) * 3;
    return {weights[first].values(computeDtype), weights[first + 1].values(computeDtype),
            weights[first + 2].values(computeDtype)};
  }

  std::vector<HostWeight> weights;  // gate, up, down of every expert
};

struct ExpertsCase {
  int64_t hidden, width, experts, expertsPerToken;
};

/** Routes x to forced experts and runs them. */
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
    // Scratch: only in f32 is it known what it holds.
    if (backend.activationDtype() == DType::f32)
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
  constexpr ExpertsCase shapes[] = {oddExperts,     {64, 33, 5, 1}, {40, 24, 4, 4},
                                    {32, 16, 9, 3}, {1, 1, 2, 1},   {128, 24, 4, 2}};
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

/** Enough rows per expert to select other kernels: a row's bits must not change. */
void manyRows() {
  forEachBackend([](Backend& backend) {
    for (const auto& [hidden, width] : {std::pair<int64_t, int64_t>(75, 20), {75, 104}, {256, 40}}) {
      Noise noise(39);
      const ExpertsCase shape{hidden, width, 3, 2};
      const DType one[] = {backend.dtype()};
      const ExpertSet experts(noise, shape.experts, shape.hidden, shape.width, one);
      const HostWeight router(noise.matrix(shape.experts, shape.hidden), DType::bf16);
      const Matrix x = noise.matrix(200, shape.hidden, backend.dtype());
      const Matrix whole = runExperts(backend, shape, experts, router, x, {});
      for (const int64_t first : {0, 95, 190})
        expectSameBits(runExperts(backend, shape, experts, router, rowRange(x, first, 10), {}).values,
                       rowRange(whole, first, 10).values, text("10 rows from ", first, ", width ", width));
    }
  });
}

/** The sum over experts is the same whether the next op reads it or somebody else. */
void thenNormed() {
  forEachBackend([](Backend& backend) {
    Noise noise(40);
    for (const int64_t hidden : {45, 48}) {
      const ExpertsCase shape{hidden, 16, 4, 2};
      const DType one[] = {backend.dtype()};
      const ExpertSet experts(noise, shape.experts, hidden, shape.width, one);
      const HostWeight router(noise.matrix(shape.experts, hidden), DType::bf16);
      const HostWeight scale(noise.matrix(1, hidden), DType::bf16);
      const Matrix x = noise.matrix(21, hidden, backend.dtype()), before = noise.matrix(21, hidden);
      const auto placed = experts.placed(backend);
      const Weight norm = backend.place(scale.mapped());
      backend.reserve(limitsOf(x.rows, hidden, shape.width, shape.experts, shape.expertsPerToken));
      const auto run = [&](bool look) {
        const DeviceMatrix input(backend, x);
        DeviceDispatch dispatch(backend, x.rows, shape.experts, shape.expertsPerToken);
        const RouteOptions options{shape.expertsPerToken, true, nullptr};
        backend.route(input, backend.place(router.mapped()), options, dispatch.view);
        const DeviceMatrix activated(backend, x.rows * shape.expertsPerToken, shape.width);
        // Aligned, unlike in other tests.
        const int64_t padding = 8 - hidden % 4;
        const DeviceMatrix delta(backend, x.rows, hidden, padding), residual(backend, before, padding),
            normed(backend, x.rows, hidden);
        backend.experts(input, placed, dispatch.view, activated, delta);
        if (look) delta.host();
        const Tensor added = delta.tensor();
        backend.addRmsNorm(residual, &added, norm, 1e-6f, normed);
        return std::pair(residual.host(), normed.host());
      };
      const auto [residual, normed] = run(false);
      const auto [seenResidual, seenNormed] = run(true);
      expectSameBits(residual.values, seenResidual.values, "residual");
      expectSameBits(normed.values, seenNormed.values, "normed");
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

/** hidden: few columns, or so many that several blocks of rows do not fit a cache together. */
void mlpMatches(int64_t hidden, int64_t width) {
  forEachBackend([&](Backend& backend) {
    Noise noise(39);
    for (const DType dtype : allDTypes) {
      const ExpertSet dense(noise, 1, hidden, width, {&dtype, 1});
      const ExpertWeights placed = dense.placed(backend)[0];
      const oracle::Expert values = dense.values(0, backend.dtype());
      Matrix whole;
      const Matrix all = noise.matrix(129, hidden, backend.dtype());
      for (const int64_t rows : {129, 33, 7, 1}) {
        const Scope scope(text(dtypeName(dtype), " weights, ", rows, " rows of ", hidden));
        const Matrix x = rowRange(all, 0, rows);
        backend.reserve(limitsOf(rows, hidden, width, 1, 1));
        const DeviceMatrix input(backend, x);
        const DeviceMatrix activated(backend, rows, width);
        const DeviceMatrix out(backend, rows, hidden);
        backend.mlp(input, placed, activated, out);
        const DoubleMatrix wide = x;
        DoubleMatrix expected(rows, hidden);
        for (int64_t row = 0; row < rows; ++row) {
          const auto part = oracle::mlp(wide.row(row), values);
          std::copy(part.begin(), part.end(), expected.row(row));
        }
        const Matrix actual = out.host();
        expectClose(actual, expected, tolerance(backend.dtype(), Rounding::inside), "mlp");
        if (backend.activationDtype() == DType::f32)
          expectRounded(activated.host(), backend.dtype(), "activation");
        if (rows == 129) whole = actual;
        expectSameBits(actual.values, rowRange(whole, 0, rows).values, "alone");
      }
    }
  });
}

const DeviceTests expertsTests{
    {"experts: odd sizes, every weight type, k from 1 to all, against float64", expertsMatch},
    {"experts: all rows pick one expert, most experts are picked by nobody", crowdedExperts},
    {"experts: a row has the same bits in any batch, with any number of threads", expertsStandAlone},
    {"experts: many rows have the bits of few", manyRows},
    {"experts: a norm that follows has the bits of a norm of their sum", thenNormed},
    {"experts: NaN stays in its row", specialValues},
    {"mlp: odd sizes and every weight type against float64, rows stand alone", [] { mlpMatches(45, 70); }},
    {"mlp: long rows, alike", [] { mlpMatches(2500, 30); }},
};

}  // namespace
}  // namespace rnd1::test
