// Quantized weights placed on a backend, also on a GPU, where activations stay as they are and weights become
// values of the compute dtype.
#include <algorithm>

#include "backend/registry.h"
#include "checkpoint/manifest.h"
#include "core/error.h"
#include "quantized_support.h"
#include "route_support.h"
#include "score_support.h"

namespace rnd1::test {
namespace {

bool isGpu(const Backend& backend) { return backend.copiesOnPlace(); }

Limits limitsOf(int64_t rows, int64_t inner) {
  Limits limits;
  limits.rows = rows;
  limits.innerColumns = inner;
  return limits;
}

/** The kind with the groups that a checkpoint would have. */
QuantizedKind forColumns(const QuantizedKind& kind, int64_t columns) {
  return {kind.dtype, Quantization{kind.dtype, kind.group}.shapeOf(1, columns).group};
}

/** The product that a backend should compute. */
DoubleMatrix expectedProduct(const Backend& backend, const Matrix& x, const QuantizedMatrix& weight) {
  return isGpu(backend) ? oracle::matmul(x, weight.valuesOnGpu(backend.dtype()))
                        : oracle::matmul(throughBytes(x, weight.mapped().group), weight.values());
}

Matrix product(Backend& backend, const Matrix& x, std::span<const Weight> placed) {
  int64_t columns = 0;
  for (const Weight& weight : placed) columns += weight.rows;
  backend.reserve(limitsOf(x.rows, x.columns));
  const DeviceMatrix input(backend, x);
  const DeviceMatrix out(backend, x.rows, columns);
  backend.matmul(input, placed, out);
  return out.host();
}

struct Shape {
  int64_t inner, columns;
};

void matmulMatches() {
  constexpr Shape shapes[] = {{1, 1}, {31, 17}, {64, 64}, {65, 5}, {127, 31}, {260, 81}};
  forEachBackend([&](Backend& backend) {
    Noise noise(1);
    for (const QuantizedKind& kind : kindsOn(backend))
      for (const Shape& shape : shapes)
        for (const int64_t rows : {1, 33, 129}) {
          const Scope scope(text(nameOf(kind), ", ", rows, " × ", shape.inner, " → ", shape.columns));
          const Matrix x = noise.matrix(rows, shape.inner, backend.dtype());
          const QuantizedMatrix weight(noise.matrix(shape.columns, shape.inner), kind,
                                       static_cast<size_t>(rows % 4));
          const Weight placed = backend.place(weight.mapped());
          expectClose(product(backend, x, {&placed, 1}), expectedProduct(backend, x, weight),
                      tolerance(DType::f32, Rounding::none), "product");
        }
  });
}

/** The smallest and largest integers, which no quantizer may write. */
void extremes() {
  forEachBackend([](Backend& backend) {
    Noise noise(2);
    for (const QuantizedKind& kind : kindsOn(backend)) {
      const Scope scope(nameOf(kind));
      QuantizedMatrix weight(noise.matrix(35, 192), kind);
      weight.makeExtreme(noise);
      const Matrix x = noise.matrix(40, 192, backend.dtype());
      const Weight placed = backend.place(weight.mapped());
      expectClose(product(backend, x, {&placed, 1}), expectedProduct(backend, x, weight),
                  tolerance(DType::f32, Rounding::none), "product");
    }
  });
}

/** What docs/quantization.md says about 16-bit values of quantized weights. */
void roundingIsSmall() {
  Noise noise(3);
  for (const QuantizedKind& kind : quantizedKinds) {
    const QuantizedMatrix weight(noise.matrix(64, 512), kind);
    for (const DType dtype : {DType::bf16, DType::f16})
      expectClose(weight.valuesOnGpu(dtype), DoubleMatrix(weight.values()),
                  (kind.dtype == DType::q8 ? 1.5e-5 : 4e-4) / (dtype == DType::bf16 ? 1 : 64),
                  text(nameOf(kind), " in ", dtypeName(dtype)));
  }
}

/** Formats change between weights of one op; on a GPU, some may be unquantized. */
void sideBySide() {
  forEachBackend([](Backend& backend) {
    Noise noise(4);
    const int64_t inner = 128, rows = 19;
    const QuantizedMatrix quantized[] = {QuantizedMatrix(noise.matrix(48, inner), quantizedKinds[0], 1),
                                         QuantizedMatrix(noise.matrix(7, inner), quantizedKinds[2], 2),
                                         QuantizedMatrix(noise.matrix(70, inner), quantizedKinds[1], 3),
                                         QuantizedMatrix(noise.matrix(21, inner), fp8Kind, 3)};
    const HostWeight plain(noise.matrix(33, inner), backend.dtype(), 1);
    const HostWeight other(noise.matrix(3, inner), DType::f32);
    std::vector<Weight> placed;
    for (const QuantizedMatrix& weight : quantized)
      if (isGpu(backend) || weight.mapped().dtype != DType::fp8)
        placed.push_back(backend.place(weight.mapped()));
    if (isGpu(backend)) placed.insert(placed.begin() + 1, backend.place(plain.mapped()));
    const Matrix x = noise.matrix(rows, inner, backend.dtype());
    const auto check = [&](const char* what, double bound) {
      const Matrix together = product(backend, x, placed);
      int64_t column = 0;
      for (const Weight& weight : placed) {
        const Matrix alone = product(backend, x, {&weight, 1});
        DoubleMatrix expected(rows, weight.rows);
        Matrix actual(rows, weight.rows);
        for (int64_t row = 0; row < rows; ++row) {
          std::copy_n(alone.row(row), weight.rows, expected.row(row));
          std::copy_n(together.row(row) + column, weight.rows, actual.row(row));
        }
        expectClose(actual, expected, bound, text(what, ", columns from ", column));
        column += weight.rows;
      }
    };
    check("the same kernels", 0);
    if (!isGpu(backend)) return;
    // A weight that tensor cores cannot multiply takes them from all.
    placed.push_back(backend.place(other.mapped()));
    check("with an f32 weight", tolerance(DType::f32, Rounding::none));
  });
}

void rowsStandAlone() {
  forEachBackend([](Backend& backend) {
    Noise noise(5);
    const int64_t rows = 600;
    for (const QuantizedKind& kind : kindsOn(backend, {0, 3, 4})) {
      const int64_t inner = kind.group == 64 ? 192 : 203;
      const Matrix x = noise.matrix(rows, inner, backend.dtype());
      const QuantizedMatrix first(noise.matrix(140, inner), kind, 1), second(noise.matrix(9, inner), kind);
      const Weight weights[] = {backend.place(first.mapped()), backend.place(second.mapped())};
      const Matrix whole = product(backend, x, weights);
      for (const int64_t count : {10, 50, 100})
        for (const int64_t at : {0, 127, 128, 490})
          expectSameBits(product(backend, rowRange(x, at, count), weights).values,
                         rowRange(whole, at, count).values,
                         text(nameOf(kind), ", ", count, " rows from ", at));
    }
  });
}

/** So many columns that tiles are larger. */
void manyColumns() {
  forEachBackend([](Backend& backend) {
    Noise noise(9);
    const int64_t inner = 136;
    const Matrix x = noise.matrix(250, inner, backend.dtype());
    for (const QuantizedKind& kind : kindsOn(backend, {1, 2, 5})) {
      const QuantizedMatrix weight(noise.matrix(4200, inner), forColumns(kind, inner));
      const Weight placed = backend.place(weight.mapped());
      const Matrix whole = product(backend, x, {&placed, 1});
      for (const int64_t count : {10, 150})
        expectSameBits(product(backend, rowRange(x, 100, count), {&placed, 1}).values,
                       rowRange(whole, 100, count).values, text(nameOf(kind), ", ", count, " rows"));
    }
  });
}

struct ExpertSet {
  ExpertSet(Noise& noise, int64_t count, int64_t hidden, int64_t width,
            std::span<const QuantizedKind> kinds) {
    for (int64_t expert = 0; expert < count; ++expert) {
      const QuantizedKind& kind = kinds[static_cast<size_t>(expert) % kinds.size()];
      for (const auto& [rows, columns] :
           {std::pair(width, hidden), std::pair(width, hidden), std::pair(hidden, width)})
        matrices.emplace_back(noise.matrix(rows, columns, DType::f32, 0.3f), forColumns(kind, columns),
                              static_cast<size_t>(expert % 3));
    }
  }

  std::vector<ExpertWeights> placed(Backend& backend) const {
    std::vector<ExpertWeights> result;
    for (size_t i = 0; i < matrices.size(); i += 3)
      result.push_back({backend.place(matrices[i].mapped()), backend.place(matrices[i + 1].mapped()),
                        backend.place(matrices[i + 2].mapped())});
    return result;
  }

  std::vector<QuantizedMatrix> matrices;  // gate, up, down of every expert
};

/** The outputs of experts, k = 2, and where their rows went. */
Matrix runExperts(Backend& backend, const std::vector<ExpertWeights>& experts, const HostWeight& router,
                  const Matrix& x, Routing* routing = nullptr) {
  const auto count = static_cast<int64_t>(experts.size());
  const int64_t width = experts[0].gate.rows, k = 2;
  backend.reserve(test::limitsOf(x.rows, x.columns, width, count, k));
  const DeviceMatrix input(backend, x);
  DeviceDispatch dispatch(backend, x.rows, count, k);
  backend.route(input, backend.place(router.mapped()), {k, true, nullptr}, dispatch.view);
  const DeviceMatrix activated(backend, x.rows * k, width), out(backend, x.rows, x.columns);
  backend.experts(input, experts, dispatch.view, activated, out);
  if (routing) *routing = hostOf(dispatch);
  return out.host();
}

void expertsMatch() {
  constexpr QuantizedKind mixed[] = {quantizedKinds[0], quantizedKinds[3], quantizedKinds[4], fp8Kind},
                          fp8[] = {fp8Kind};
  forEachBackend([&](Backend& backend) {
    Noise noise(6);
    const int64_t hidden = 96, width = 72, count = 5, rows = 37;
    const HostWeight router(noise.matrix(count, hidden), DType::f32);
    std::vector<std::span<const QuantizedKind>> all{mixed, fp8};
    for (const QuantizedKind& kind : quantizedKinds) all.emplace_back(&kind, 1);
    for (const std::span<const QuantizedKind> kinds : all) {
      if (kinds.back().dtype == DType::fp8 && !isGpu(backend)) continue;
      const Scope scope(text(nameOf(kinds[0]), kinds.size() > 1 ? " and others" : ""));
      const ExpertSet experts(noise, count, hidden, width, kinds);
      const Matrix x = noise.matrix(rows, hidden, backend.dtype());
      Routing routing;
      const Matrix actual = runExperts(backend, experts.placed(backend), router, x, &routing);
      const DoubleMatrix wide = x;
      DoubleMatrix expected(rows, hidden);
      for (int64_t slot = 0; slot < rows * 2; ++slot) {
        const auto first = static_cast<size_t>(routing.ids[static_cast<size_t>(slot)]) * 3;
        const auto values = [&](size_t at) {
          const QuantizedMatrix& matrix = experts.matrices[first + at];
          return isGpu(backend) ? matrix.valuesOnGpu(backend.dtype()) : matrix.values();
        };
        const auto part = oracle::mlp(wide.row(slot / 2), {values(0), values(1), values(2)});
        for (int64_t column = 0; column < hidden; ++column)
          expected.at(slot / 2, column) +=
              routing.weights.values[static_cast<size_t>(slot)] * part[static_cast<size_t>(column)];
      }
      // On a CPU, activations become bytes.
      expectClose(actual, expected, isGpu(backend) ? tolerance(backend.dtype(), Rounding::inside) : 1e-3,
                  "experts");
    }
  });
}

/** Tiles of 32, 64 and 128 rows. */
void expertsStandAlone() {
  forEachBackend([](Backend& backend) {
    Noise noise(7);
    const int64_t hidden = 256, count = 3;
    const HostWeight router(noise.matrix(count, hidden), DType::bf16);
    const Matrix x = noise.matrix(200, hidden, backend.dtype());
    for (const QuantizedKind& kind : kindsOn(backend, {2, 1, 4})) {
      const ExpertSet experts(noise, count, hidden, 104, {&kind, 1});
      const auto placed = experts.placed(backend);
      const Matrix whole = runExperts(backend, placed, router, x);
      for (const int64_t rows : {10, 60})
        for (const int64_t first : {0, 95, 140})
          expectSameBits(runExperts(backend, placed, router, rowRange(x, first, rows)).values,
                         rowRange(whole, first, rows).values,
                         text(nameOf(kind), ", ", rows, " from ", first));
    }
  });
}

void greedyScores() {
  forEachBackend([](Backend& backend) {
    Noise noise(8);
    const std::vector<SamplingPlan> plans{plan(1), plan(0.7f)};
    for (const QuantizedKind& kind : kindsOn(backend)) {
      const int64_t vocabulary = 307, rows = 70;
      const Matrix x = noise.matrix(rows, 128, backend.dtype());
      const QuantizedMatrix head(noise.matrix(vocabulary, 128, DType::f32, 0.4f), kind, 1);
      const Weight placed = backend.place(head.mapped());
      const auto all = scoreRows(rows, 2);
      const auto actual = scoreHidden(backend, x, head.mapped(), all, plans);
      const DeviceMatrix input(backend, x), logits(backend, rows, vocabulary);
      backend.logits(input, placed, logits);
      expectClose(logits.host(), expectedProduct(backend, x, head), tolerance(DType::f32, Rounding::none),
                  "logits");
      expectScores(actual, logits.host(), all, plans);
      const auto fewer =
          scoreHidden(backend, rowRange(x, 8, 2), head.mapped(), std::span(all).subspan(8, 2), plans);
      expectSameScores(fewer, std::span(actual).subspan(8, 2), text(nameOf(kind), ", fewer rows"));
    }
  });
}

void fp8NeedsAGpu() {
  const auto backend = makeCpuBackend(DType::bf16, 1);
  Noise noise(10);
  const QuantizedMatrix weight(noise.matrix(3, 5), fp8Kind);
  try {
    backend->place(weight.mapped());
    expect(false, "it is placed");
  } catch (const Error& error) {
    expect(error.code() == ErrorCode::unsupportedModel, error.what());
  }
}

const Tests quantizedValueTests{
    {"quantized weights: fp8 is refused by a CPU", fp8NeedsAGpu},
    {"quantized weights: rounded to 16 bits they are nearly the same", roundingIsSmall},
};

const DeviceTests quantizedDeviceTests{
    {"quantized weights: matmul of odd sizes against float64, on every device", matmulMatches},
    {"quantized weights: the smallest and largest integers", extremes},
    {"quantized weights: beside unquantized ones in one matmul", sideBySide},
    {"quantized weights: a row has the same bits in any batch, on every device", rowsStandAlone},
    {"quantized weights: many columns have the bits of few rows", manyColumns},
    {"quantized weights: experts against float64, also of different formats", expertsMatch},
    {"quantized weights: rows of experts have the same bits in any batch", expertsStandAlone},
    {"quantized weights: greedy scores of a quantized head", greedyScores},
};

}  // namespace
}  // namespace rnd1::test
