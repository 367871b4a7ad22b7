// Activations in 16 bits, where a backend wants them so: every op gives the bits that it gives for the same
// values in f32, and writes the same values.
#include <bit>
#include <cstdio>

#include "route_support.h"

namespace rnd1::test {
namespace {

/** A matrix in the activation dtype, with rows of 8 values more than the columns. */
class NarrowMatrix {
 public:
  NarrowMatrix(Backend& backend, int64_t rows, int64_t columns)
      : dtype_(backend.activationDtype()),
        rows_(rows),
        columns_(columns),
        array_(backend, static_cast<size_t>(rows * (columns + padding))) {}
  NarrowMatrix(Backend& backend, const Matrix& values)
      : dtype_(backend.activationDtype()),
        rows_(values.rows),
        columns_(values.columns),
        array_(backend, halvesOf(values, dtype_)) {}

  Tensor tensor() const {
    Tensor tensor(reinterpret_cast<float*>(array_.data()), rows_, columns_, columns_ + padding);
    tensor.dtype = dtype_;
    return tensor;
  }
  operator Tensor() const { return tensor(); }

  std::vector<float> host() const {
    const std::vector<uint16_t> all = array_.host();
    std::vector<float> values;
    bool untouched = true;
    for (size_t i = 0; i < all.size(); ++i) {
      const bool value = static_cast<int64_t>(i) % (columns_ + padding) < columns_;
      if (value) values.push_back(halfToFloat(dtype_, all[i]));
      untouched = untouched && (value || all[i] == 0xffff);
    }
    expect(untouched, "something was written between the rows");
    return values;
  }

 private:
  static constexpr int64_t padding = 8;

  static std::vector<uint16_t> halvesOf(const Matrix& values, DType dtype) {
    std::vector<uint16_t> halves(static_cast<size_t>(values.rows * (values.columns + padding)), 0xffff);
    for (int64_t row = 0; row < values.rows; ++row)
      for (int64_t column = 0; column < values.columns; ++column)
        halves[static_cast<size_t>(row * (values.columns + padding) + column)] =
            dtype == DType::bf16 ? floatToBf16(values.at(row, column)) : floatToF16(values.at(row, column));
    return halves;
  }

  DType dtype_;
  int64_t rows_, columns_;
  DeviceArray<uint16_t> array_;
};

/** body(backend) for those that want 16-bit activations. */
void forEachNarrowBackend(const std::function<void(Backend&)>& body) {
  bool tried = false;
  forEachBackend([&](Backend& backend) {
    if (backend.activationDtype() == DType::f32) return;
    tried = true;
    body(backend);
  });
  if (!tried) std::fprintf(stderr, "SKIPPED: no backend here wants 16-bit activations\n");
  expect(true, "skipped");
}

void rowWiseOps() {
  forEachNarrowBackend([](Backend& backend) {
    Noise noise(201);
    const int64_t rows = 9, columns = 264;
    backend.reserve(limitsOf(rows, columns, 8, 1, 1));
    const Weight scale = backend.place(HostWeight(noise.matrix(1, columns), DType::bf16).mapped());
    const Matrix values = noise.matrix(rows, columns, backend.dtype());
    const DeviceMatrix residual(backend, values), normed(backend, rows, columns);
    const NarrowMatrix narrowNormed(backend, rows, columns);
    backend.addRmsNorm(residual, nullptr, scale, 1e-6f, normed);
    backend.addRmsNorm(residual, nullptr, scale, 1e-6f, narrowNormed);
    expectSameBits(narrowNormed.host(), normed.host().values, "addRmsNorm");

    const std::vector<int64_t> chosen{8, 0, 3, 3};
    const DeviceArray<int32_t> ids(backend, std::vector<int32_t>(chosen.begin(), chosen.end()));
    const NarrowMatrix gathered(backend, 4, columns);
    backend.gatherRows(NarrowMatrix(backend, values), ids.data(), gathered);
    expectSameBits(gathered.host(), selectRows(values, chosen).values, "gatherRows");
  });
}

void rotatedHeads() {
  constexpr HeadLayout layouts[] = {{4, 2, 128}, {3, 1, 40}, {9, 3, 64}};
  forEachNarrowBackend([&](Backend& backend) {
    Noise noise(202);
    for (const HeadLayout& layout : layouts) {
      const Scope scope(text("head ", layout.headDim));
      const int64_t rows = 11, half = layout.columns() / 2;
      backend.reserve(limitsOf(rows, layout.columns(), 8, 1, 1));
      const auto weight = [&](int64_t count) {
        return backend.place(HostWeight(noise.matrix(1, count), DType::bf16).mapped());
      };
      const HeadNorms norms{weight(layout.columns()), weight(layout.headDim), weight(layout.headDim), 1e-6f};
      std::vector<int32_t> places;
      for (int32_t row = 0; row < rows; ++row) places.push_back(row * 3 % 7);
      const DeviceArray<int32_t> positions(backend, places);
      const DeviceMatrix angles(backend, noise.matrix(7, layout.headDim - 4));
      const Matrix values = noise.matrix(rows, layout.columns());
      const DeviceMatrix wide(backend, values, 0), narrow(backend, values, 0);
      backend.normRope(wide, layout, norms, positions.data(), angles, wide);
      backend.normRope(narrow, layout, norms, positions.data(), angles,
                       narrow.tensor().narrowed(backend.activationDtype()));
      // Each row of f32 begins with its results in 16 bits.
      const Matrix memory = narrow.host();
      std::vector<float> results;
      for (int64_t row = 0; row < rows; ++row)
        for (int64_t i = 0; i < half; ++i) {
          const auto bits = std::bit_cast<uint32_t>(memory.at(row, i));
          for (const auto half16 : {static_cast<uint16_t>(bits), static_cast<uint16_t>(bits >> 16)})
            results.push_back(halfToFloat(backend.dtype(), half16));
        }
      expectSameBits(results, wide.host().values, "normRope");
    }
  });
}

void attendedRows() {
  constexpr HeadLayout layouts[] = {{4, 2, 128}, {2, 1, 64}, {3, 1, 40}};
  constexpr int32_t length = 70;
  forEachNarrowBackend([&](Backend& backend) {
    Noise noise(203);
    for (const HeadLayout& layout : layouts)
      for (const bool cached : {false, true}) {
        const Scope scope(text("head ", layout.headDim, cached ? ", cached" : ""));
        Limits limits = limitsOf(length, layout.queryColumns(), 8, 1, 1);
        limits.headDim = layout.headDim;
        backend.reserve(limits);
        const Matrix query = noise.matrix(length, layout.queryColumns(), backend.dtype());
        const Matrix key = noise.matrix(length, layout.keyValueColumns(), backend.dtype());
        const Matrix value = noise.matrix(length, layout.keyValueColumns(), backend.dtype());
        const DeviceArray<int32_t> offsets(backend, std::vector<int32_t>{0, length});
        std::vector<int32_t> places;
        for (int32_t row = 0; row < length; ++row) places.push_back(row);
        const DeviceArray<int32_t> positions(backend, places);
        const DeviceArray<std::byte> memory(backend,
                                            static_cast<size_t>(4 * length * layout.keyValueColumns()));
        const DeviceArray<CanvasCache> caches(backend,
                                              std::vector<CanvasCache>{{memory.data(), length, length}});
        const LayerCaches layer{cached ? caches.data() : nullptr, 0};
        const AttentionRows rows{{offsets.data(), 1}, positions.data(), {offsets.data(), 1}, layer};
        const auto attend = [&](const auto& q, const auto& k, const auto& v, const auto& out) {
          if (cached) backend.cacheKeys(k, v, {offsets.data(), 1}, positions.data(), layer);
          backend.attention(q, k, v, layout, rows, {32}, 0.1f, out, nullptr);
        };
        const DeviceMatrix wide(backend, length, layout.queryColumns());
        attend(DeviceMatrix(backend, query), DeviceMatrix(backend, key), DeviceMatrix(backend, value), wide);
        const NarrowMatrix narrow(backend, length, layout.queryColumns());
        attend(NarrowMatrix(backend, query), NarrowMatrix(backend, key), NarrowMatrix(backend, value),
               narrow);
        expectSameBits(narrow.host(), wide.host().values, "attention");
      }
  });
}

void products() {
  forEachNarrowBackend([](Backend& backend) {
    Noise noise(204);
    const int64_t hidden = 72, width = 40, outputs = 100;
    for (const DType dtype : allDTypes)
      for (const int64_t rows : {5, 40, 130, 530}) {
        const Scope scope(text(dtypeName(dtype), " weights, ", rows, " rows"));
        Limits limits = limitsOf(rows, hidden, width, 4, 2);
        limits.scoredRows = rows;
        limits.vocabulary = outputs;
        limits.filters = true;
        backend.reserve(limits);
        const auto weight = [&](int64_t count, int64_t inputs) {
          return backend.place(HostWeight(noise.matrix(count, inputs, DType::f32, 0.2f), dtype).mapped());
        };
        const Matrix values = noise.matrix(rows, hidden, backend.dtype());
        const DeviceMatrix x(backend, values);
        const NarrowMatrix narrowX(backend, values);

        const Weight matrix = weight(outputs, hidden), router = weight(4, hidden);
        std::vector<ExpertWeights> experts;
        for (int expert = 0; expert < 4; ++expert)
          experts.push_back({weight(width, hidden), weight(width, hidden), weight(hidden, width)});
        const auto run = [&](Tensor input) {
          const DeviceMatrix product(backend, rows, outputs), mixed(backend, rows, hidden, 0),
              dense(backend, rows, hidden);
          backend.matmul(input, {&matrix, 1}, product);
          DeviceDispatch dispatch(backend, rows, 4, 2);
          backend.route(input, router, {2, true, nullptr}, dispatch.view);
          const DeviceMatrix activated(backend, 2 * rows, width, 0);
          backend.experts(input, experts, dispatch.view, activated, mixed);
          backend.mlp(input, experts[0], activated.tensor().rowRange(0, rows), dense);
          std::vector<float> all;
          for (const Matrix& part : {product.host(), hostOf(dispatch).logits, mixed.host(), dense.host()})
            all.insert(all.end(), part.values.begin(), part.values.end());

          const DeviceArray<ScoreRow> scored(backend,
                                             std::vector<ScoreRow>(static_cast<size_t>(rows), {0, 1, 0}));
          const DeviceArray<SamplingPlan> plans(backend, std::vector<SamplingPlan>(1));
          for (const bool greedyUnfiltered : {true, false}) {
            const DeviceArray<Score> scores(backend, static_cast<size_t>(rows));
            backend.score(input, matrix, {scored.data(), scored.size()}, {plans.data(), 1}, greedyUnfiltered,
                          {scores.data(), scores.size()});
            for (const Score& score : scores.host()) {
              all.push_back(static_cast<float>(score.token));
              all.push_back(score.entropy);
            }
          }
          return all;
        };
        expectSameBits(run(narrowX), run(x), "products");
      }
  });
}

const DeviceTests narrowActivationsTests{
    {"16-bit activations: norms and gathered rows have the bits of f32", rowWiseOps},
    {"16-bit activations: rotated heads, in place of f32", rotatedHeads},
    {"16-bit activations: attention, and cached keys", attendedRows},
    {"16-bit activations: matmul, experts, a dense MLP and scores", products},
};

}  // namespace
}  // namespace rnd1::test
