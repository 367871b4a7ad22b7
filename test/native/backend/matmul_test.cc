#include "backends.h"

namespace rnd1::test {
namespace {

constexpr int64_t oddRows[] = {1, 7, 33, 129};

Limits limitsOf(int64_t rows, int64_t inner) {
  Limits limits;
  limits.rows = rows;
  limits.innerColumns = inner;
  return limits;
}

void matchesOracle() {
  struct Shape {
    int64_t inner, columns;
  };
  constexpr Shape shapes[] = {{1, 1}, {3, 5}, {33, 17}, {64, 48}, {127, 31}, {260, 19}};
  forEachBackend([&](Backend& backend) {
    Noise noise(1);
    for (const int64_t rows : oddRows)
      for (const Shape& shape : shapes)
        for (const DType dtype : allDTypes) {
          const Scope scope(
              text(dtypeName(dtype), " weights, ", rows, " × ", shape.inner, " → ", shape.columns));
          const Matrix x = noise.matrix(rows, shape.inner, backend.dtype());
          const HostWeight weight(noise.matrix(shape.columns, shape.inner), dtype);
          const Weight placed = backend.place(weight.mapped());
          backend.reserve(limitsOf(rows, shape.inner));
          const DeviceMatrix input(backend, x);
          const DeviceMatrix out(backend, rows, shape.columns);
          backend.matmul(input, {&placed, 1}, out);
          expectClose(out.host(), oracle::matmul(x, weight.values(backend.dtype())),
                      tolerance(backend.dtype(), Rounding::none), "product");
        }
  });
}

void sideBySide() {
  forEachBackend([](Backend& backend) {
    Noise noise(2);
    const int64_t rows = 7;
    const int64_t inner = 45;
    const Matrix x = noise.matrix(rows, inner, backend.dtype());
    // Mapped files hold tensors at any byte offset.
    const HostWeight weights[] = {
        HostWeight(noise.matrix(18, inner), DType::bf16, 1),
        HostWeight(noise.matrix(1, inner), DType::f32, 3),
        HostWeight(noise.matrix(37, inner), DType::f16, 7, 5),
        HostWeight(noise.matrix(16, inner), DType::f32, 2),
        HostWeight(noise.matrix(5, inner), DType::f32, 0, 3),
        HostWeight(noise.matrix(3, inner), DType::bf16, 2),
    };
    std::vector<Weight> placed;
    DoubleMatrix expected(rows, 0);
    for (const HostWeight& weight : weights) {
      placed.push_back(backend.place(weight.mapped()));
      const DoubleMatrix product = oracle::matmul(x, weight.values(backend.dtype()));
      DoubleMatrix wider(rows, expected.columns + product.columns);
      for (int64_t row = 0; row < rows; ++row) {
        std::copy(expected.row(row), expected.row(row) + expected.columns, wider.row(row));
        std::copy(product.row(row), product.row(row) + product.columns, wider.row(row) + expected.columns);
      }
      expected = wider;
    }
    backend.reserve(limitsOf(rows, inner));
    const DeviceMatrix input(backend, x);
    const DeviceMatrix out(backend, rows, expected.columns);
    backend.matmul(input, placed, out);
    expectClose(out.host(), expected, tolerance(backend.dtype(), Rounding::none), "products");
  });
}

void specialValues() {
  forEachBackend([](Backend& backend) {
    Noise noise(3);
    const int64_t inner = 40;
    Matrix x = noise.matrix(5, inner, backend.dtype());
    const HostWeight weight(noise.matrix(21, inner), DType::bf16);
    const DoubleMatrix expected = oracle::matmul(x, weight.values(backend.dtype()));
    x.at(1, 17) = std::nanf("");
    x.at(3, 39) = INFINITY;
    const Weight placed = backend.place(weight.mapped());
    backend.reserve(limitsOf(5, inner));
    const DeviceMatrix input(backend, x);
    const DeviceMatrix out(backend, 5, 21);
    backend.matmul(input, {&placed, 1}, out);
    const Matrix actual = out.host();
    const Matrix weights = weight.values(backend.dtype());
    for (int64_t column = 0; column < 21; ++column) {
      expect(std::isnan(actual.at(1, column)), text("NaN is lost at column ", column));
      expect(actual.at(3, column) == INFINITY * weights.at(column, 39), text("∞ is lost at column ", column));
    }
    for (const int64_t row : {0, 2, 4}) {
      DoubleMatrix expectedRow(1, 21);
      std::copy(expected.row(row), expected.row(row) + 21, expectedRow.row(0));
      expectClose(rowRange(actual, row, 1), expectedRow, tolerance(backend.dtype(), Rounding::none),
                  text("row ", row));
    }
  });
}

void rowsStandAlone() {
  forEachFactory([](const BackendFactory& make) {
    Noise noise(4);
    const int64_t inner = 203;
    const int64_t columns = 57;
    const auto alone = make(1);
    const DType computeDtype = alone->dtype();
    const Matrix x = noise.matrix(129, inner, computeDtype);
    for (const DType dtype : allDTypes) {
      const HostWeight weight(noise.matrix(columns, inner), dtype, 1);
      const auto run = [&](Backend& backend, const Matrix& rows) {
        const Weight placed = backend.place(weight.mapped());
        backend.reserve(limitsOf(rows.rows, inner));
        const DeviceMatrix input(backend, rows);
        const DeviceMatrix out(backend, rows.rows, columns);
        backend.matmul(input, {&placed, 1}, out);
        return out.host();
      };
      const Matrix whole = run(*alone, x);
      for (const int threads : {2, 3})
        expectSameBits(run(*make(threads), x).values, whole.values, text(threads, " threads"));
      for (const int64_t count : {1, 2, 3, 5, 7, 33})
        for (const int64_t first : {0, 11, 96})
          expectSameBits(run(*alone, rowRange(x, first, count)).values, rowRange(whole, first, count).values,
                         text(count, " rows from ", first, " of ", x.rows));
    }
  });
}

/** Enough rows to select other kernels: a row's bits must not change. */
void manyRows() {
  forEachBackend([](Backend& backend) {
    Noise noise(6);
    const int64_t inner = 83, rows = 600;
    const Matrix x = noise.matrix(rows, inner, backend.dtype());
    const HostWeight first(noise.matrix(140, inner), backend.dtype(), 1);
    const HostWeight second(noise.matrix(9, inner), backend.dtype());
    const Weight weights[] = {backend.place(first.mapped()), backend.place(second.mapped())};
    backend.reserve(limitsOf(rows, inner));
    const auto run = [&](const Matrix& given) {
      const DeviceMatrix input(backend, given);
      const DeviceMatrix out(backend, given.rows, 149);
      backend.matmul(input, weights, out);
      return out.host();
    };
    const Matrix whole = run(x);
    for (const int64_t at : {0, 127, 128, 511, 590})
      expectSameBits(run(rowRange(x, at, 10)).values, rowRange(whole, at, 10).values,
                     text("10 rows from ", at, " of ", rows));
  });
}

/** So many columns that tiles are larger. */
void manyColumns() {
  forEachBackend([](Backend& backend) {
    Noise noise(10);
    const int64_t inner = 136, columns = 4200;
    const HostWeight first(noise.matrix(columns, inner), backend.dtype()),
        second(noise.matrix(70, inner), backend.dtype());
    const Weight weights[] = {backend.place(first.mapped()), backend.place(second.mapped())};
    const Matrix x = noise.matrix(400, inner, backend.dtype());
    backend.reserve(limitsOf(x.rows, inner));
    const auto run = [&](const Matrix& given) {
      const DeviceMatrix input(backend, given);
      const DeviceMatrix out(backend, given.rows, columns + 70);
      backend.matmul(input, weights, out);
      return out.host();
    };
    const Matrix whole = run(x);
    for (const int64_t count : {10, 150, 250})
      expectSameBits(run(rowRange(x, 140, count)).values, rowRange(whole, 140, count).values,
                     text(count, " rows from 140"));
  });
}

/** Rows long enough to be multiplied in pieces, and so many that few blocks of them fit a cache. */
void longRows() {
  forEachBackend([](Backend& backend) {
    Noise noise(9);
    const int64_t columns = 96;
    for (const int64_t inner : {2048, 4096, 4500}) {
      const Matrix x = noise.matrix(101, inner, backend.dtype());
      for (const DType dtype : allDTypes) {
        const Scope scope(text(inner, " columns of ", dtypeName(dtype)));
        const HostWeight weight(noise.matrix(columns, inner), dtype, 1);
        const Weight placed = backend.place(weight.mapped());
        backend.reserve(limitsOf(x.rows, inner));
        const auto run = [&](const Matrix& rows) {
          const DeviceMatrix input(backend, rows);
          const DeviceMatrix out(backend, rows.rows, columns);
          backend.matmul(input, {&placed, 1}, out);
          return out.host();
        };
        const Matrix whole = run(x);
        expectClose(whole, oracle::matmul(x, weight.values(backend.dtype())),
                    tolerance(backend.dtype(), Rounding::none), "product");
        for (const int64_t count : {1, 9, 26})
          expectSameBits(run(rowRange(x, 70, count)).values, rowRange(whole, 70, count).values,
                         text(count, " rows from 70"));
      }
    }
  });
}

void sameColumns() {
  forEachBackend([](Backend& backend) {
    Noise noise(5);
    const int64_t inner = 77;
    Matrix values = noise.matrix(23, inner);
    for (int64_t row = 1; row < 23; ++row) std::copy(values.row(0), values.row(0) + inner, values.row(row));
    const HostWeight weight(values, DType::bf16);
    const Weight placed = backend.place(weight.mapped());
    backend.reserve(limitsOf(4, inner));
    const DeviceMatrix input(backend, noise.matrix(4, inner, backend.dtype()));
    const DeviceMatrix out(backend, 4, 23);
    backend.matmul(input, {&placed, 1}, out);
    const Matrix actual = out.host();
    for (int64_t row = 0; row < 4; ++row)
      expectSameBits({actual.row(row), 23}, std::vector<float>(23, actual.at(row, 0)), text("row ", row));
  });
}

void logitsMatchOracle() {
  forEachBackend([](Backend& backend) {
    Noise noise(6);
    for (const int64_t rows : oddRows) {
      const Matrix x = noise.matrix(rows, 50, backend.dtype());
      const HostWeight head(noise.matrix(301, 50), DType::bf16, 1);
      const Weight placed = backend.place(head.mapped());
      Limits limits = limitsOf(rows, 50);
      limits.vocabulary = 301;
      backend.reserve(limits);
      const DeviceMatrix input(backend, x);
      const DeviceMatrix out(backend, rows, 301);
      const DeviceMatrix product(backend, rows, 301);
      backend.logits(input, placed, out);
      backend.matmul(input, {&placed, 1}, product);
      expectClose(out.host(), oracle::matmul(x, head.values(backend.dtype())),
                  tolerance(backend.dtype(), Rounding::none), text(rows, " rows"));
      expectSameBits(out.host().values, product.host().values, text(rows, " rows against matmul"));
    }
  });
}

void gathersRows() {
  forEachBackend([](Backend& backend) {
    Noise noise(7);
    const Matrix x = noise.matrix(33, 29);
    const DeviceMatrix input(backend, x);
    for (const int64_t count : oddRows) {
      std::vector<int32_t> rows;
      for (int64_t i = 0; i < count; ++i) rows.push_back(static_cast<int32_t>(noise.below(33)));
      const DeviceArray<int32_t> indices(backend, rows);
      const DeviceMatrix out(backend, count, 29);
      backend.gatherRows(input, indices.data(), out);
      const std::vector<int64_t> selected(rows.begin(), rows.end());
      expectSameBits(out.host().values, selectRows(x, selected).values, text(count, " rows"));
    }
  });
}

void embeds() {
  forEachBackend([](Backend& backend) {
    Noise noise(8);
    for (const DType dtype : allDTypes)
      for (const size_t misalignment : {0, 1}) {
        const HostWeight table(noise.matrix(19, 37), dtype, misalignment);
        const Weight placed = backend.place(table.mapped());
        for (const int64_t rows : oddRows) {
          std::vector<int32_t> tokens;
          for (int64_t i = 0; i < rows; ++i) tokens.push_back(static_cast<int32_t>(noise.below(19)));
          tokens.back() = 18;
          const DeviceArray<int32_t> ids(backend, tokens);
          const DeviceMatrix out(backend, rows, 37);
          backend.embed(ids.data(), placed, out);
          const std::vector<int64_t> selected(tokens.begin(), tokens.end());
          expectSameBits(out.host().values, selectRows(table.values(), selected).values,
                         text(dtypeName(dtype), " table, ", rows, " rows"));
        }
      }
  });
}

const DeviceTests matmulTests{
    {"matmul: every weight type at odd sizes against float64", matchesOracle},
    {"matmul: several weights side by side, misaligned and with gaps between rows", sideBySide},
    {"matmul: NaN and infinity stay in their row", specialValues},
    {"matmul: a row has the same bits in any batch, with any number of threads", rowsStandAlone},
    {"matmul: many rows have the bits of few", manyRows},
    {"matmul: many columns have the bits of few rows", manyColumns},
    {"matmul: rows of several pieces against float64, the same bits in any batch", longRows},
    {"matmul: equal weight rows give equal bits wherever they stand", sameColumns},
    {"logits: against float64, the same bits as matmul", logitsMatchOracle},
    {"gatherRows: any rows, in any order, again and again", gathersRows},
    {"embed: every weight type, widened but not rounded", embeds},
};

}  // namespace
}  // namespace rnd1::test
