#include <cmath>

#include "allocations.h"
#include "backend/registry.h"
#include "quantized_support.h"

namespace rnd1::test {
namespace {

Limits limitsOf(int64_t rows, int64_t inner) {
  Limits limits;
  limits.rows = rows;
  limits.innerColumns = inner;
  return limits;
}

struct Shape {
  int64_t inner, columns;
};

/** Matmuls of all kernel tables with one weight: near float64, and the same bits in all tables. */
void expectMatmuls(const Matrix& x, const QuantizedMatrix& weight, const QuantizedKind& kind) {
  const Weight mapped = weight.mapped();
  const DoubleMatrix expected = oracle::matmul(throughBytes(x, kind.group), weight.values());
  Matrix first;
  forEachQuantizedKernels([&](const cpu::QuantizedKernels& kernels) {
    const Matrix actual = Products(kernels, 1, limitsOf(x.rows, x.columns)).matmul(x, {&mapped, 1});
    expectClose(actual, expected, tolerance(DType::f32, Rounding::none), "product");
    if (first.values.empty()) first = actual;
    expectSameBits(actual.values, first.values, "against the first table");
  });
}

void matchesOracle() {
  Noise noise(1);
  constexpr Shape shapes[] = {{1, 1}, {31, 16}, {64, 33}, {65, 5}, {127, 31}, {192, 64}, {260, 19}};
  for (const QuantizedKind& kind : quantizedKinds)
    for (const Shape& shape : shapes)
      for (const int64_t rows : {1, 2, 3, 17}) {
        const Scope scope(text(nameOf(kind), ", ", rows, " × ", shape.inner, " → ", shape.columns));
        const QuantizedMatrix weight(noise.matrix(shape.columns, shape.inner), kind,
                                     static_cast<size_t>(rows % 4));
        expectMatmuls(noise.matrix(rows, shape.inner), weight, kind);
      }
}

void everyTileHeight() {
  Noise noise(2);
  for (const QuantizedKind& kind : quantizedKinds) {
    const QuantizedMatrix weight(noise.matrix(35, 96), kind);
    for (int64_t rows = 4; rows <= 13; ++rows) {
      const Scope scope(text(nameOf(kind), ", ", rows, " rows"));
      expectMatmuls(noise.matrix(rows, 96), weight, kind);
    }
  }
}

void extremes() {
  Noise noise(3);
  for (const QuantizedKind& kind : quantizedKinds) {
    const Scope scope(nameOf(kind));
    QuantizedMatrix weight(noise.matrix(33, 200), kind);
    weight.makeExtreme(noise);
    // All activations of a row have its largest magnitude, so that sums of neighbours are maximal.
    Matrix x(6, 200);
    for (int64_t row = 0; row < x.rows; ++row)
      for (int64_t column = 0; column < x.columns; ++column)
        x.at(row, column) = row == 0 ? 1.5f : row == 1 ? -1.5f : noise.uniform() < 0.5 ? 3.0f : -3.0f;
    expectMatmuls(x, weight, kind);
  }
}

void tinyAndHuge() {
  Noise noise(4);
  for (const QuantizedKind& kind : quantizedKinds) {
    const Scope scope(nameOf(kind));
    const QuantizedMatrix weight(noise.matrix(20, 128), kind);
    Matrix x = noise.matrix(6, 128);
    for (int64_t column = 0; column < 128; ++column) {
      x.at(0, column) *= 1e-25f;
      x.at(1, column) *= 1e30f;
      x.at(2, column) = 0;
      x.at(3, column) *= column < 64 ? 1e-42f : 1;
      x.at(4, column) = column == 70 ? -1e-3f : 0;
    }
    Matrix seen = x;
    // Subnormal groups count as zeros.
    std::fill_n(seen.row(3), 64, 0.0f);
    for (int64_t row = 0; row < x.rows; ++row) {
      const Scope rowScope(text("row ", row));
      const Weight mapped = weight.mapped();
      DoubleMatrix expected =
          oracle::matmul(throughBytes(rowRange(seen, row, 1), kind.group), weight.values());
      Matrix first;
      forEachQuantizedKernels([&](const cpu::QuantizedKernels& kernels) {
        const Matrix actual =
            Products(kernels, 1, limitsOf(1, 128)).matmul(rowRange(x, row, 1), {&mapped, 1});
        // Compared in units of a power of two, so that no square overflows or underflows.
        const double unit = row == 0 ? 0x1p83 : row == 1 ? 0x1p-100 : 1;
        DoubleMatrix scaledExpected = expected;
        Matrix scaled = actual;
        for (size_t i = 0; i < scaled.values.size(); ++i) {
          scaled.values[i] = static_cast<float>(actual.values[i] * unit);
          scaledExpected.values[i] *= unit;
        }
        expectClose(scaled, scaledExpected, tolerance(DType::f32, Rounding::none), "product");
        if (first.values.empty()) first = actual;
        expectSameBits(actual.values, first.values, "against the first table");
      });
    }
  }
}

void notFinite() {
  Noise noise(5);
  const float infinity = INFINITY;
  for (const QuantizedKind& kind : quantizedKinds) {
    const Scope scope(nameOf(kind));
    const QuantizedMatrix weight(noise.matrix(21, 100), kind);
    const Weight mapped = weight.mapped();
    const Matrix x = noise.matrix(14, 100);
    Matrix bad = x;
    bad.at(1, 0) = std::nanf("");
    bad.at(4, 99) = infinity;
    bad.at(5, 63) = -infinity;
    bad.at(12, 64) = -std::nanf("");
    std::fill_n(bad.row(8), 100, std::nanf(""));
    forEachQuantizedKernels([&](const cpu::QuantizedKernels& kernels) {
      Products products(kernels, 2, limitsOf(14, 100));
      const Matrix good = products.matmul(x, {&mapped, 1});
      const Matrix actual = products.matmul(bad, {&mapped, 1});
      for (int64_t row = 0; row < 14; ++row)
        if (row == 1 || row == 4 || row == 5 || row == 8 || row == 12) {
          for (int64_t column = 0; column < 21; ++column)
            expect(!std::isfinite(actual.at(row, column)),
                   text("row ", row, " has a finite value at column ", column));
        } else {
          expectSameBits({actual.row(row), 21}, {good.row(row), 21}, text("row ", row));
        }
    });
  }
}

void rowsStandAlone() {
  Noise noise(6);
  const int64_t inner = 203, columns = 117, rows = 290;
  const Matrix x = noise.matrix(rows, inner);
  for (const QuantizedKind& kind : {quantizedKinds[2], quantizedKinds[3]}) {
    const QuantizedMatrix weight(noise.matrix(columns, inner), kind);
    const Weight mapped = weight.mapped();
    forEachQuantizedKernels([&](const cpu::QuantizedKernels& kernels) {
      const Scope scope(nameOf(kind));
      Products alone(kernels, 1, limitsOf(rows, inner));
      const Matrix whole = alone.matmul(x, {&mapped, 1});
      for (const int threads : {2, 3})
        expectSameBits(Products(kernels, threads, limitsOf(rows, inner)).matmul(x, {&mapped, 1}).values,
                       whole.values, text(threads, " threads"));
      for (const int64_t count : {1, 2, 3, 5, 7, 33, 150})
        for (const int64_t first : {0, 11, 140})
          expectSameBits(alone.matmul(rowRange(x, first, count), {&mapped, 1}).values,
                         rowRange(whole, first, count).values, text(count, " rows from ", first));
    });
  }
}

void sideBySide() {
  Noise noise(7);
  const int64_t inner = 128;
  // Formats may change between weights; an odd number of panels leaves one unpaired.
  const QuantizedMatrix weights[] = {
      QuantizedMatrix(noise.matrix(48, inner), quantizedKinds[0], 1),
      QuantizedMatrix(noise.matrix(7, inner), quantizedKinds[0], 2),
      QuantizedMatrix(noise.matrix(130, inner), quantizedKinds[1], 3),
      QuantizedMatrix(noise.matrix(32, inner), quantizedKinds[2]),
      QuantizedMatrix(noise.matrix(1, inner), quantizedKinds[3]),
  };
  std::vector<Weight> mapped;
  int64_t columns = 0;
  for (const QuantizedMatrix& weight : weights) {
    mapped.push_back(weight.mapped());
    columns += mapped.back().rows;
  }
  const Matrix x = noise.matrix(19, inner);
  forEachQuantizedKernels([&](const cpu::QuantizedKernels& kernels) {
    for (const int threads : {1, 3}) {
      Products products(kernels, threads, limitsOf(19, inner));
      const Matrix together = products.matmul(x, mapped);
      expectEqual(together.columns, columns, "columns");
      int64_t column = 0;
      for (const Weight& weight : mapped) {
        const Matrix single = products.matmul(x, {&weight, 1});
        for (int64_t row = 0; row < 19; ++row)
          expectSameBits({together.row(row) + column, static_cast<size_t>(weight.rows)},
                         {single.row(row), static_cast<size_t>(weight.rows)}, text("columns from ", column));
        column += weight.rows;
      }
    }
    Products products(kernels, 2, limitsOf(0, inner));
    expectEqual(products.matmul(Matrix(0, inner), mapped).rows, 0, "no rows at all");
  });
}

void allocatesNothing() {
  Noise noise(8);
  const QuantizedMatrix weight(noise.matrix(100, 320), quantizedKinds[1]);
  const Weight mapped = weight.mapped();
  HostMatrix input(noise.matrix(300, 320)), out(300, 100);
  forEachQuantizedKernels([&](const cpu::QuantizedKernels& kernels) {
    Products products(kernels, 2, limitsOf(300, 320));
    const int64_t before = allocationCount();
    products.ops.matmul(input.tensor(), {&mapped, 1}, out.tensor());
    const int64_t after = allocationCount();
    expectEqual(after, before, "calls of operator new");
  });
}

void namesOfInstructionSets() {
  for (const std::string& name : cpuInstructionSets()) {
    const std::string chosen = cpu::quantizedKernels(name).name;
    const bool fits =
        name == "amx" || (name.starts_with("avx512") && chosen != "amx") || chosen == "baseline" ||
        (name == "avx2" ? chosen == "avx2" || chosen == "avxvnni" : chosen == "dotprod" || chosen == "i8mm");
    expect(fits, text(name, " kernels go with ", chosen));
  }
}

const Tests quantizedMatmulTests{
    {"quantized matmul: odd sizes against float64, the same bits in every instruction set", matchesOracle},
    {"quantized matmul: every height of a tile", everyTileHeight},
    {"quantized matmul: the greatest integers do not saturate", extremes},
    {"quantized matmul: rows of any magnitude", tinyAndHuge},
    {"quantized matmul: NaN and infinity leave no value of their row finite", notFinite},
    {"quantized matmul: a row has the same bits in any batch, with any number of threads", rowsStandAlone},
    {"quantized matmul: weights of several formats side by side", sideBySide},
    {"quantized matmul: no allocation after reserve", allocatesNothing},
    {"quantized kernels: none newer than the instruction set that was asked for", namesOfInstructionSets},
};

}  // namespace
}  // namespace rnd1::test
