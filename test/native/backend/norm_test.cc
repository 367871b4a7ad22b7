#include "backends.h"

namespace rnd1::test {
namespace {

constexpr float epsilon = 1e-6f;

Limits limitsOf(int64_t rows, int64_t columns) {
  Limits limits;
  limits.rows = rows;
  limits.innerColumns = columns;
  limits.headDim = columns;
  return limits;
}

/** Scales around one, in the checkpoint's usual type. */
HostWeight normScale(Noise& noise, int64_t columns, DType dtype = DType::bf16, size_t misalignment = 0) {
  Matrix values = noise.matrix(1, columns, DType::f32, 0.3f);
  for (float& value : values.values) value += 1;
  return HostWeight(values, dtype, misalignment);
}

void addRmsNormMatches() {
  forEachBackend([](Backend& backend) {
    Noise noise(11);
    for (const int64_t rows : {1, 7, 33, 129})
      for (const int64_t columns : {1, 33, 64, 130})
        for (const DType dtype : allDTypes)
          for (const bool add : {false, true}) {
            const Scope scope(
                text(rows, " × ", columns, ", ", dtypeName(dtype), " scale", add ? ", delta" : ""));
            const Matrix residual = noise.matrix(rows, columns, DType::f32, 5);
            const Matrix delta = noise.matrix(rows, columns);
            Matrix sum = residual;
            if (add)
              for (size_t i = 0; i < sum.values.size(); ++i) sum.values[i] += delta.values[i];
            const HostWeight scale = normScale(noise, columns, dtype, 1);
            backend.reserve(limitsOf(rows, columns));
            const DeviceMatrix stream(backend, residual);
            const DeviceMatrix added(backend, delta);
            const Tensor addedTensor = added;
            const DeviceMatrix out(backend, rows, columns);
            backend.addRmsNorm(stream, add ? &addedTensor : nullptr, backend.place(scale.mapped()), epsilon,
                               out);
            expectSameBits(stream.host().values, sum.values, "residual");
            expectClose(out.host(), oracle::rmsNorm(sum, scale.vector(), epsilon),
                        tolerance(backend.dtype(), Rounding::inside), "norm");
            expectRounded(out.host(), backend.dtype(), "norm");
          }
  });
}

void normOfZeros() {
  forEachBackend([](Backend& backend) {
    Noise noise(12);
    Matrix residual(2, 40);
    for (int64_t column = 0; column < 40; ++column) residual.at(1, column) = 1e-4f * noise.normal();
    const HostWeight scale = normScale(noise, 40);
    backend.reserve(limitsOf(2, 40));
    const DeviceMatrix stream(backend, residual);
    const DeviceMatrix out(backend, 2, 40);
    backend.addRmsNorm(stream, nullptr, backend.place(scale.mapped()), epsilon, out);
    const Matrix actual = out.host();
    for (int64_t column = 0; column < 40; ++column) expectEqual(actual.at(0, column), 0.0f, "norm of zeros");
    DoubleMatrix expected(1, 40);
    const DoubleMatrix both = oracle::rmsNorm(residual, scale.vector(), epsilon);
    std::copy(both.row(1), both.row(1) + 40, expected.row(0));
    expectClose(rowRange(actual, 1, 1), expected, tolerance(backend.dtype(), Rounding::inside), "small row");
  });
}

/** Columns of a shard of a wider product: queries, keys, values and others after them. */
struct RopeCase {
  HeadLayout layout;
  Matrix qkv;
  std::vector<int32_t> positions;
};

RopeCase ropeCase(Noise& noise, int64_t rows, int64_t headDim, int64_t heads, int64_t keyValueHeads) {
  RopeCase result;
  result.layout = {heads, keyValueHeads, headDim};
  result.qkv = noise.matrix(rows, result.layout.columns(), DType::f32, 2);
  // Two packed canvases: positions restart in the second.
  for (int64_t row = 0; row < rows; ++row)
    result.positions.push_back(static_cast<int32_t>(row % (rows / 2 + 1)));
  return result;
}

Matrix normRope(Backend& backend, const RopeCase& given, const HeadNorms& norms, const Matrix& rotary) {
  const DeviceMatrix qkv(backend, given.qkv);
  const DeviceArray<int32_t> positions(backend, given.positions);
  const DeviceMatrix table(backend, rotary);
  backend.normRope(qkv, given.layout, norms, positions.data(), table, qkv);
  return qkv.host();
}

void normRopeMatches() {
  forEachBackend([](Backend& backend) {
    Noise noise(13);
    const DType computeDtype = backend.dtype();
    for (const int64_t headDim : {2, 20, 32, 40, 64, 128})
      for (const int64_t rows : {1, 7, 33, 129}) {
        const Scope scope(text("head ", headDim, ", ", rows, " rows"));
        const RopeCase given = ropeCase(noise, rows, headDim, 3, 1);
        const Matrix rotary = oracle::rotary(rows, headDim, 1e4);
        const HostWeight queryNorm = normScale(noise, headDim);
        const HostWeight keyNorm = normScale(noise, headDim, DType::f32, 1);
        backend.reserve(limitsOf(rows, headDim));
        const HeadNorms norms{
            {}, backend.place(queryNorm.mapped()), backend.place(keyNorm.mapped()), epsilon};
        const Matrix actual = normRope(backend, given, norms, rotary);
        expectClose(
            actual,
            oracle::normRope(given.qkv, given.layout, {{}, queryNorm.vector(), keyNorm.vector(), epsilon},
                             given.positions, rotary),
            tolerance(computeDtype, Rounding::inside), "qkv");
        expectRounded(actual, computeDtype, "qkv");
        // Values are only rounded.
        const int64_t first = given.layout.queryColumns() + given.layout.keyValueColumns();
        for (int64_t row = 0; row < rows; ++row)
          for (int64_t column = first; column < given.layout.columns(); ++column)
            expect(actual.at(row, column) == roundTo(computeDtype, given.qkv.at(row, column)),
                   text("value at ", row, ", ", column));
      }
  });
}

/** With and without bias and norms, with all or a part of each head rotated. */
void headsOfOtherFamilies() {
  forEachBackend([](Backend& backend) {
    Noise noise(15);
    for (const auto& [headDim, rotated] : {std::pair{32, 16}, {40, 40}, {64, 32}, {128, 64}, {20, 6}})
      for (const bool bias : {false, true})
        for (const bool normed : {false, true}) {
          const Scope scope(
              text("head ", headDim, ", rotated ", rotated, bias ? ", bias" : "", normed ? ", norms" : ""));
          const int64_t rows = 33;
          const RopeCase given = ropeCase(noise, rows, headDim, 4, 2);
          const Matrix rotary = oracle::rotary(rows, rotated, 6e5);
          const HostWeight biases(noise.matrix(1, given.qkv.columns), DType::bf16, 1);
          const HostWeight queryNorm = normScale(noise, headDim), keyNorm = normScale(noise, headDim);
          Limits limits = limitsOf(rows, headDim);
          limits.biasColumns = given.qkv.columns;
          backend.reserve(limits);
          HeadNorms norms;
          norms.epsilon = epsilon;
          oracle::HeadNorms exact{{}, {}, {}, epsilon};
          if (bias) {
            norms.bias = backend.place(biases.mapped());
            exact.bias = biases.vector();
          }
          if (normed) {
            norms.queryNorm = backend.place(queryNorm.mapped());
            norms.keyNorm = backend.place(keyNorm.mapped());
            exact.queryNorm = queryNorm.vector();
            exact.keyNorm = keyNorm.vector();
          }
          const Matrix actual = normRope(backend, given, norms, rotary);
          expectClose(actual, oracle::normRope(given.qkv, given.layout, exact, given.positions, rotary),
                      tolerance(backend.dtype(), Rounding::inside), "qkv");
          expectRounded(actual, backend.dtype(), "qkv");
        }
  });
}

void adds() {
  forEachBackend([](Backend& backend) {
    Noise noise(16);
    const Matrix x = noise.matrix(33, 130), y = noise.matrix(33, 130);
    const DeviceMatrix added(backend, x, 3), out(backend, y, 5);
    backend.add(added, out);
    Matrix expected = y;
    for (size_t i = 0; i < expected.values.size(); ++i) expected.values[i] += x.values[i];
    expectSameBits(out.host().values, expected.values, "sum");
  });
}

void normsStandAlone() {
  forEachFactory([](const BackendFactory& make) {
    Noise noise(14);
    const int64_t headDim = 40;
    const RopeCase given = ropeCase(noise, 129, headDim, 4, 2);
    const int64_t columns = given.qkv.columns;
    const Matrix rotary = oracle::rotary(129, headDim, 1e6);
    const HostWeight queryNorm = normScale(noise, headDim);
    const HostWeight keyNorm = normScale(noise, headDim);
    const HostWeight scale = normScale(noise, columns);
    const auto run = [&](Backend& backend, int64_t first, int64_t rows) {
      backend.reserve(limitsOf(rows, columns));
      const DeviceMatrix stream(backend, rowRange(given.qkv, first, rows));
      const DeviceMatrix out(backend, rows, columns);
      backend.addRmsNorm(stream, nullptr, backend.place(scale.mapped()), epsilon, out);
      const DeviceArray<int32_t> positions(
          backend,
          std::vector<int32_t>(given.positions.begin() + first, given.positions.begin() + first + rows));
      const DeviceMatrix table(backend, rotary);
      const HeadNorms norms{{}, backend.place(queryNorm.mapped()), backend.place(keyNorm.mapped()), epsilon};
      backend.normRope(out, given.layout, norms, positions.data(), table, out);
      return out.host();
    };
    const auto alone = make(1);
    const Matrix whole = run(*alone, 0, 129);
    for (const int threads : {2, 3})
      expectSameBits(run(*make(threads), 0, 129).values, whole.values, text(threads, " threads"));
    for (const int64_t count : {1, 7, 33})
      expectSameBits(run(*alone, 64, count).values, rowRange(whole, 64, count).values, text(count, " rows"));
  });
}

const DeviceTests normTests{
    {"addRmsNorm: with and without delta against float64", addRmsNormMatches},
    {"addRmsNorm: a row of zeros stays zero, a small one is held back by epsilon", normOfZeros},
    {"normRope: heads of 32, 64, 128 and odd sizes against float64", normRopeMatches},
    {"normRope: bias, no norms, a part of each head rotated, against float64", headsOfOtherFamilies},
    {"add: exactly", adds},
    {"norms: a row has the same bits in any batch, with any number of threads", normsStandAlone},
};

}  // namespace
}  // namespace rnd1::test
