#include <algorithm>
#include <cmath>
#include <numeric>

#include "allocations.h"
#include "quantized_support.h"

namespace rnd1::test {
namespace {

struct ExpertsCase {
  int64_t hidden, width, experts, expertsPerToken;
};

/** gate, up and down of every expert. */
struct ExpertSet {
  ExpertSet(Noise& noise, const ExpertsCase& shape, const QuantizedKind& kind) {
    const auto groupOf = [&](int64_t columns) { return quantizedGroup(columns, kind.group); };
    for (int64_t expert = 0; expert < shape.experts; ++expert) {
      const auto misalignment = static_cast<size_t>(expert % 4);
      const auto add = [&](int64_t rows, int64_t columns) {
        matrices.emplace_back(noise.matrix(rows, columns, DType::f32, 0.3f),
                              QuantizedKind{kind.dtype, groupOf(columns)}, misalignment);
      };
      add(shape.width, shape.hidden);
      add(shape.width, shape.hidden);
      add(shape.hidden, shape.width);
    }
    for (size_t i = 0; i < matrices.size(); i += 3)
      mapped.push_back({matrices[i].mapped(), matrices[i + 1].mapped(), matrices[i + 2].mapped()});
  }

  std::vector<QuantizedMatrix> matrices;
  std::vector<ExpertWeights> mapped;
};

/** A handmade dispatch. */
class Routes {
 public:
  /** chosen (rows, k). */
  Routes(Noise& noise, int64_t rows, const ExpertsCase& shape, std::vector<int32_t> chosen)
      : ids_(std::move(chosen)), offsets_(static_cast<size_t>(shape.experts + 1)), slots_(ids_.size()) {
    for (size_t slot = 0; slot < ids_.size(); ++slot) weights_.push_back(static_cast<float>(noise.uniform()));
    std::iota(slots_.begin(), slots_.end(), 0);
    std::stable_sort(slots_.begin(), slots_.end(), [&](int32_t a, int32_t b) {
      return ids_[static_cast<size_t>(a)] < ids_[static_cast<size_t>(b)];
    });
    for (int64_t expert = 0; expert <= shape.experts; ++expert)
      offsets_[static_cast<size_t>(expert)] = static_cast<int32_t>(
          std::count_if(ids_.begin(), ids_.end(), [&](int32_t id) { return id < expert; }));
    dispatch.rows = rows;
    dispatch.experts = shape.experts;
    dispatch.expertsPerToken = shape.expertsPerToken;
    dispatch.expertIds = ids_.data();
    dispatch.weights = weights_.data();
    dispatch.offsets = offsets_.data();
    dispatch.slots = slots_.data();
  }

  Dispatch dispatch;

 private:
  std::vector<int32_t> ids_, offsets_, slots_;
  std::vector<float> weights_;
};

/** Distinct experts for every row; with `favourite`, the first of every row is that one. */
std::vector<int32_t> choose(Noise& noise, int64_t rows, const ExpertsCase& shape, int32_t favourite = -1) {
  std::vector<int32_t> all;
  for (int64_t row = 0; row < rows; ++row) {
    std::vector<int32_t> chosen;
    if (favourite >= 0) chosen.push_back(favourite);
    while (static_cast<int64_t>(chosen.size()) < shape.expertsPerToken) {
      const auto id = static_cast<int32_t>(noise.below(shape.experts));
      if (std::find(chosen.begin(), chosen.end(), id) == chosen.end()) chosen.push_back(id);
    }
    all.insert(all.end(), chosen.begin(), chosen.end());
  }
  return all;
}

Limits limitsOf(int64_t rows, const ExpertsCase& shape) {
  Limits limits;
  limits.rows = rows;
  limits.innerColumns = std::max(shape.hidden, shape.width);
  limits.experts = shape.experts;
  limits.expertWidth = shape.width;
  limits.expertColumns = shape.hidden;
  limits.expertsPerToken = shape.expertsPerToken;
  return limits;
}

/** down(bytes(silu(gate · bytes(x)) ∘ (up · bytes(x)))) of one row, which is bytes already. */
DoubleMatrix mlpOracle(const Matrix& x, const ExpertWeights& weights, const QuantizedMatrix* matrices) {
  const DoubleMatrix gate = oracle::matmul(x, matrices[0].values());
  const DoubleMatrix up = oracle::matmul(x, matrices[1].values());
  Matrix activated(gate.rows, gate.columns);
  for (size_t i = 0; i < gate.values.size(); ++i)
    activated.values[i] = static_cast<float>(gate.values[i] / (1 + std::exp(-gate.values[i])) * up.values[i]);
  return oracle::matmul(throughBytes(activated, weights.down.group), matrices[2].values());
}

DoubleMatrix expertsOracle(const Matrix& x, const ExpertSet& experts, const Dispatch& dispatch) {
  const Matrix bytes = throughBytes(x, experts.mapped[0].gate.group);
  DoubleMatrix out(x.rows, x.columns);
  for (int64_t row = 0; row < x.rows; ++row)
    for (int64_t rank = 0; rank < dispatch.expertsPerToken; ++rank) {
      const int64_t slot = row * dispatch.expertsPerToken + rank;
      const auto expert = static_cast<size_t>(dispatch.expertIds[slot]);
      const DoubleMatrix product =
          mlpOracle(rowRange(bytes, row, 1), experts.mapped[expert], &experts.matrices[3 * expert]);
      for (int64_t column = 0; column < x.columns; ++column)
        out.at(row, column) += dispatch.weights[slot] * product.at(0, column);
    }
  return out;
}

Matrix run(cpu::QuantizedOps& ops, const Matrix& x, const ExpertSet& experts, const Dispatch& dispatch) {
  HostMatrix input(x), out(x.rows, x.columns);
  ops.experts(input.tensor(), experts.mapped, dispatch, out.tensor());
  return out.host();
}

void matchOracle() {
  Noise noise(11);
  constexpr ExpertsCase shapes[] = {{64, 64, 4, 2}, {40, 24, 5, 3}, {130, 96, 3, 1}, {96, 200, 6, 6}};
  for (const QuantizedKind& kind : quantizedKinds)
    for (const ExpertsCase& shape : shapes)
      for (const int64_t rows : {1, 5, 21}) {
        const Scope scope(text(nameOf(kind), ", ", rows, " rows, ", shape.hidden, " → ", shape.width));
        const ExpertSet experts(noise, shape, kind);
        const Routes routes(noise, rows, shape, choose(noise, rows, shape));
        const Matrix x = noise.matrix(rows, shape.hidden);
        const DoubleMatrix expected = expertsOracle(x, experts, routes.dispatch);
        Matrix first;
        forEachQuantizedKernels([&](const cpu::QuantizedKernels& kernels) {
          Products products(kernels, 2, limitsOf(rows, shape));
          const Matrix actual = run(products.ops, x, experts, routes.dispatch);
          expectClose(actual, expected, requantizedTolerance, "experts");
          if (first.values.empty()) first = actual;
          expectSameBits(actual.values, first.values, "against the first table");
        });
      }
}

void rowsStandAlone() {
  Noise noise(12);
  constexpr ExpertsCase shape{72, 136, 9, 3};
  const int64_t rows = 301;
  const ExpertSet experts(noise, shape, quantizedKinds[1]);
  const Matrix x = noise.matrix(rows, shape.hidden);
  // One expert has every row, the others have few; some have none.
  const std::vector<int32_t> chosen = choose(noise, rows, {72, 136, 6, 3}, 2);
  const Routes routes(noise, rows, shape, chosen);
  forEachQuantizedKernels([&](const cpu::QuantizedKernels& kernels) {
    Products alone(kernels, 1, limitsOf(rows, shape));
    const Matrix whole = run(alone.ops, x, experts, routes.dispatch);
    for (const int threads : {2, 3, 5}) {
      Products others(kernels, threads, limitsOf(rows, shape));
      expectSameBits(run(others.ops, x, experts, routes.dispatch).values, whole.values,
                     text(threads, " threads"));
    }
    for (const int64_t count : {1, 2, 7, 60})
      for (const int64_t first : {0, 13, 241}) {
        const auto begin = chosen.begin() + first * shape.expertsPerToken;
        Routes part(noise, count, shape, {begin, begin + count * shape.expertsPerToken});
        std::copy_n(routes.dispatch.weights + first * shape.expertsPerToken, count * shape.expertsPerToken,
                    part.dispatch.weights);
        expectSameBits(run(alone.ops, rowRange(x, first, count), experts, part.dispatch).values,
                       rowRange(whole, first, count).values, text(count, " rows from ", first));
      }
  });
}

void notFinite() {
  Noise noise(13);
  constexpr ExpertsCase shape{64, 80, 4, 2};
  const int64_t rows = 12;
  for (const QuantizedKind& kind : quantizedKinds) {
    const Scope scope(nameOf(kind));
    const ExpertSet experts(noise, shape, kind);
    const Routes routes(noise, rows, shape, choose(noise, rows, shape));
    const Matrix x = noise.matrix(rows, shape.hidden);
    Matrix bad = x;
    bad.at(2, 63) = std::nanf("");
    bad.at(7, 0) = -INFINITY;
    // Its activations overflow, although it is finite.
    for (int64_t column = 0; column < shape.hidden; ++column) bad.at(9, column) *= 1e25f;
    forEachQuantizedKernels([&](const cpu::QuantizedKernels& kernels) {
      Products products(kernels, 2, limitsOf(rows, shape));
      const Matrix good = run(products.ops, x, experts, routes.dispatch);
      const Matrix actual = run(products.ops, bad, experts, routes.dispatch);
      for (int64_t row = 0; row < rows; ++row)
        if (row == 2 || row == 7 || row == 9) {
          for (int64_t column = 0; column < shape.hidden; ++column)
            expect(!std::isfinite(actual.at(row, column)),
                   text("row ", row, " has a finite value at column ", column));
        } else {
          expectSameBits({actual.row(row), 64}, {good.row(row), 64}, text("row ", row));
        }
    });
  }
}

void denseMatchesOracle() {
  Noise noise(14);
  for (const QuantizedKind& kind : {quantizedKinds[0], quantizedKinds[1], quantizedKinds[4]})
    for (const int64_t rows : {0, 1, 30, 270}) {
      const Scope scope(text(nameOf(kind), ", ", rows, " rows"));
      constexpr ExpertsCase shape{72, 168, 1, 1};
      const ExpertSet expert(noise, shape, kind);
      const Matrix x = noise.matrix(rows, shape.hidden);
      const Matrix bytes = throughBytes(x, expert.mapped[0].gate.group);
      const DoubleMatrix expected = mlpOracle(bytes, expert.mapped[0], expert.matrices.data());
      Matrix first;
      forEachQuantizedKernels([&](const cpu::QuantizedKernels& kernels) {
        for (const int threads : {1, 3}) {
          Products products(kernels, threads, limitsOf(rows, {72, 168, 0, 0}));
          HostMatrix input(x), out(rows, shape.hidden);
          products.ops.mlp(input.tensor(), expert.mapped[0], out.tensor());
          const Matrix actual = out.host();
          expectClose(actual, expected, requantizedTolerance, "mlp");
          if (first.values.empty()) first = actual;
          expectSameBits(actual.values, first.values, text("against the first table, ", threads, " threads"));
        }
      });
    }
}

void allocateNothing() {
  Noise noise(15);
  constexpr ExpertsCase shape{64, 128, 5, 2};
  const int64_t rows = 300;
  const ExpertSet experts(noise, shape, quantizedKinds[0]);
  const Routes routes(noise, rows, shape, choose(noise, rows, shape, 4));
  HostMatrix input(noise.matrix(rows, shape.hidden)), out(rows, shape.hidden);
  forEachQuantizedKernels([&](const cpu::QuantizedKernels& kernels) {
    Products products(kernels, 3, limitsOf(rows, shape));
    const int64_t before = allocationCount();
    products.ops.experts(input.tensor(), experts.mapped, routes.dispatch, out.tensor());
    products.ops.mlp(input.tensor(), experts.mapped[0], out.tensor());
    const int64_t after = allocationCount();
    expectEqual(after, before, "calls of operator new");
  });
}

const Tests quantizedExpertsTests{
    {"quantized experts: against float64, the same bits in every instruction set", matchOracle},
    {"quantized experts: a row has the same bits in any batch, with any number of threads", rowsStandAlone},
    {"quantized experts: NaN, infinity and overflow leave no value of their row finite", notFinite},
    {"quantized mlp: against float64, the same bits with any number of threads", denseMatchesOracle},
    {"quantized experts: no allocation after reserve", allocateNothing},
};

}  // namespace
}  // namespace rnd1::test
