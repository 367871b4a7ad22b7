// Rows of matrices in fp8 that are written, and read, in several pieces.
#include <algorithm>
#include <cstring>

#include "checkpoint/row_reader.h"
#include "checkpoint/shard_writer.h"
#include "core/fp8.h"
#include "model_support.h"

namespace rnd1::test {
namespace {

/** A matrix of several pieces, whose blocks have different scales, in f32 and in fp8. */
struct Fp8Matrix {
  static constexpr int64_t rows = 300, columns = 2100;

  explicit Fp8Matrix(int threads) {
    Noise noise(98);
    values = noise.matrix(rows, columns);
    for (int64_t row = 0; row < rows; ++row)
      for (int64_t column = 0; column < columns; ++column)
        values.at(row, column) *=
            std::ldexp(1.0f, static_cast<int>(row / fp8Block * 3 + column / fp8Block % 5));
    source.emplace(std::as_bytes(std::span(values.values)));
    ShardTensor tensor{"matrix", {}, QuantizedShape{DType::fp8, rows, columns, 64}, 0, 0, {}};
    tensor.source.name = "matrix";
    tensor.source.shape = {rows, columns};
    tensor.scales = rows * columns;
    Shard shard{{source->path()}, target.path(), {tensor}};
    const AbortFlag never;
    fillShard(
        shard, threads, [](const LoadProgress&) {}, never);
    location = tensor.source;
    location.dtype = DType::f32;
    location.blocks = BlockType::fp8;
    location.blockScales = {0, tensor.scales};
    files.emplace_back(target.path(), File::Mode::read);
  }

  Matrix values{0, 0};
  std::optional<TemporaryFile> source;
  TemporaryFile target{std::span<const std::byte>{}};
  TensorLocation location;
  std::vector<File> files;
};

/** All rows, `atOnce` at a time. */
Matrix readRows(const Fp8Matrix& matrix, int64_t atOnce) {
  Matrix result(Fp8Matrix::rows, Fp8Matrix::columns);
  RowReader reader(matrix.files, matrix.location);
  for (int64_t first = 0; first < result.rows; first += atOnce)
    reader.read(first, std::min(atOnce, result.rows - first),
                reinterpret_cast<std::byte*>(result.row(first)));
  return result;
}

void readsAnyRows() {
  const Fp8Matrix matrix(3);
  const Matrix whole = readRows(matrix, Fp8Matrix::rows);
  expectClose(whole, DoubleMatrix(matrix.values), 1e-3, "the values");
  for (const int64_t atOnce : {1, 100, 128, 129})
    expectSameBits(readRows(matrix, atOnce).values, whole.values, text(atOnce, " rows at once"));
  expectSameBits(readRows(Fp8Matrix(1), Fp8Matrix::rows).values, whole.values, "one thread");
}

/** Panels of the file and of the matrix, in pieces of one and of two blocks. */
void arrangesAnyBlocks() {
  const Fp8Matrix matrix(2);
  const QuantizedShape shape{DType::fp8, Fp8Matrix::rows, Fp8Matrix::columns, 64};
  TensorLocation unquantized;
  unquantized.shape = matrix.location.shape;
  std::vector<File> sources;
  sources.emplace_back(matrix.source->path(), File::Mode::read);
  const auto panels = [&](const std::vector<File>& files, const TensorLocation& location, int64_t atOnce) {
    std::vector<uint8_t> data(static_cast<size_t>(shape.dataBytes()));
    std::vector<uint16_t> scales(static_cast<size_t>(shape.scaleCount()));
    RowReader reader(files, location);
    for (int64_t first = 0; first < shape.panels(); first += atOnce)
      expect(reader.quantize(shape, first, std::min(atOnce, shape.panels() - first),
                             {data.data() + first * shape.panelBytes(),
                              scales.data() + first * shape.panelScales(), nullptr}),
             "they are arranged");
    Matrix result(shape.rows, shape.columns);
    dequantizeRows(quantizedWeight(shape, data.data(), scales.data(), nullptr), 0, shape.rows,
                   result.values.data(), shape.columns);
    return result;
  };
  const Matrix expected = readRows(matrix, Fp8Matrix::rows);
  for (const int64_t atOnce : {8, 16, 24}) {
    expectSameBits(panels(matrix.files, matrix.location, atOnce).values, expected.values, "of the file");
    expectSameBits(panels(sources, unquantized, atOnce).values, expected.values, "of the matrix");
  }
}

const Tests fp8RowsTests{
    {"fp8 rows: any number at a time, written by any number of threads", readsAnyRows},
    {"fp8 rows: panels of some blocks at a time", arrangesAnyBlocks},
};

}  // namespace
}  // namespace rnd1::test
