// Every op at the shapes of RND1-30B: GPUs against the CPU. Without a GPU it reports that and tests nothing.
#include <cstdio>
#include <thread>

#include "backend/registry.h"
#include "route_support.h"
#include "score_support.h"

namespace rnd1::test {
namespace {

constexpr int64_t hidden = 2048, width = 768, experts = 128, expertsPerToken = 8, vocabulary = 151'936;
constexpr HeadLayout layout{32, 4, 128};
constexpr int64_t rowCounts[] = {64, 256, 1024};  // few rows per expert; one canvas; many
constexpr int64_t scoredRows = 64;
// Bound for the difference of two backends' logits: either of two tokens this close may be predicted.
constexpr double nearTie = 1e-3;

/** Uniform in [−amplitude, amplitude], fast enough for an LM head of 311 million weights. */
Matrix quickMatrix(uint64_t seed, int64_t rows, int64_t columns, DType dtype, float amplitude) {
  Matrix result(rows, columns);
  for (float& value : result.values) {
    seed = seed * 6364136223846793005u + 1442695040888963407u;
    value = roundTo(dtype, (static_cast<float>(seed >> 40) * 0x1p-23f - 1) * amplitude);
  }
  return result;
}

class TrueShapes {
 public:
  TrueShapes(Backend& gpu, Backend& cpu) : gpu_(gpu), cpu_(cpu), dtype_(gpu.dtype()) {}

  /** run(backend) on both; the reference is the CPU, which the tests of ops compare with float64. */
  template <typename Run>
  void compare(const char* what, Rounding rounding, Run&& run) {
    const Matrix expected = run(cpu_);
    expectClose(run(gpu_), expected, tolerance(dtype_, rounding), what);
  }

  void projections(int64_t rows) {
    const Matrix x = quickMatrix(1, rows, hidden, dtype_, 1);
    const HostWeight query(quickMatrix(2, layout.queryColumns(), hidden, dtype_, 0.03f), dtype_);
    const HostWeight key(quickMatrix(3, layout.keyValueColumns(), hidden, dtype_, 0.03f), dtype_);
    compare("matmul", Rounding::none, [&](Backend& backend) {
      reserve(backend, rows);
      const Weight weights[] = {backend.place(query.mapped()), backend.place(key.mapped()),
                                backend.place(key.mapped())};
      const DeviceMatrix input(backend, x), out(backend, rows, layout.columns());
      backend.matmul(input, weights, out);
      return out.host();
    });
  }

  void attention(int64_t rows) {
    const Matrix qkv = quickMatrix(4, rows, layout.columns(), dtype_, 1.5f);
    const std::vector<int32_t> offsets{0, static_cast<int32_t>(rows / 3), static_cast<int32_t>(rows)};
    compare("attention", Rounding::inside, [&](Backend& backend) {
      reserve(backend, rows);
      const DeviceMatrix input(backend, qkv, 0), out(backend, rows, layout.queryColumns());
      const DeviceArray<int32_t> starts(backend, offsets);
      const CanvasOffsets canvases{starts.data(), 2};
      // All keys are visible from anywhere.
      const DeviceArray<int32_t> positions(backend, std::vector<int32_t>(static_cast<size_t>(rows), 0));
      const Tensor all = input;
      backend.attention(
          all.columnRange(0, layout.queryColumns()),
          all.columnRange(layout.queryColumns(), layout.keyValueColumns()),
          all.columnRange(layout.queryColumns() + layout.keyValueColumns(), layout.keyValueColumns()), layout,
          {canvases, positions.data(), canvases, {}}, AttentionMask(), 0.088388f, out, nullptr);
      return out.host();
    });
  }

  void mixture(int64_t rows) {
    const Matrix x = quickMatrix(5, rows, hidden, dtype_, 1);
    const HostWeight router(quickMatrix(6, experts, hidden, dtype_, 0.05f), dtype_);
    std::vector<HostWeight> distinct;
    for (uint64_t seed = 7; seed < 10; ++seed) {
      distinct.emplace_back(quickMatrix(seed, width, hidden, dtype_, 0.03f), dtype_);
      distinct.emplace_back(quickMatrix(seed + 10, width, hidden, dtype_, 0.03f), dtype_);
      distinct.emplace_back(quickMatrix(seed + 20, hidden, width, dtype_, 0.03f), dtype_);
    }
    std::vector<int32_t> routed;
    compare("experts", Rounding::inside, [&](Backend& backend) {
      reserve(backend, rows);
      std::vector<Weight> placed;
      for (const HostWeight& weight : distinct) placed.push_back(backend.place(weight.mapped()));
      std::vector<ExpertWeights> table;
      for (size_t expert = 0; expert < experts; ++expert) {
        const size_t first = expert % 3 * 3;
        table.push_back({placed[first], placed[first + 1], placed[first + 2]});
      }
      DeviceDispatch dispatch(backend, rows, experts, expertsPerToken);
      const DeviceMatrix input(backend, x), activated(backend, rows * expertsPerToken, width, 0),
          out(backend, rows, hidden);
      // The second backend uses the first one's routes, because near ties may go either way.
      const DeviceArray<int32_t> forced(backend, routed);
      backend.route(input, backend.place(router.mapped()),
                    {expertsPerToken, true, routed.empty() ? nullptr : forced.data()}, dispatch.view);
      routed = dispatch.ids.host();
      backend.experts(input, table, dispatch.view, activated, out);
      return out.host();
    });
  }

  void scores() {
    const Matrix x = quickMatrix(40, scoredRows, hidden, dtype_, 1);
    const HostWeight head(quickMatrix(41, vocabulary, hidden, dtype_, 0.08f), dtype_);
    for (const SamplingPlan& one : {plan(1), plan(0.8f, 50, 0.95f, false)}) {
      const auto rows = scoreRows(scoredRows);
      const auto actual = scoreHidden(gpu_, x, head, rows, {&one, 1});
      const auto expected = scoreHidden(cpu_, x, head, rows, {&one, 1});
      int64_t cut = 0;
      for (size_t row = 0; row < rows.size(); ++row) {
        const int32_t token = actual[row].token;
        expect(std::abs(actual[row].entropy - expected[row].entropy) < 1e-3f, text("entropy of row ", row));
        if (token == expected[row].token ||
            !expect(token >= 0 && token < vocabulary, text("token of row ", row)))
          continue;
        const Matrix logits = logitsOf(rowRange(x, static_cast<int64_t>(row), 1), head);
        const auto truth = oracle::score({logits.row(0), vocabulary}, one, rows[row].position);
        const double gap =
            truth.keys[static_cast<size_t>(expected[row].token)] - truth.keys[static_cast<size_t>(token)];
        if (std::isinf(gap)) {
          ++cut;
        } else {
          expect(gap < nearTie, text("row ", row, ": token ", token, ", expected ", expected[row].token));
        }
      }
      // Two exp implementations may put a token on either side of the top-p cutoff.
      expect(cut <= 1, text(cut, " of ", scoredRows, " tokens had been cut by the filters"));
    }
  }

 private:
  Matrix logitsOf(const Matrix& x, const HostWeight& head) {
    const DeviceMatrix input(cpu_, x), out(cpu_, x.rows, vocabulary);
    cpu_.logits(input, cpu_.place(head.mapped()), out);
    return out.host();
  }

  static void reserve(Backend& backend, int64_t rows) {
    Limits limits = limitsOf(rows, layout.queryColumns(), width, experts, expertsPerToken);
    limits.headDim = layout.headDim;
    backend.reserve(limits);
  }

  Backend& gpu_;
  Backend& cpu_;
  const DType dtype_;
};

/** body(shapes) for every GPU and dtype. */
template <typename Body>
void forEachGpu(Body&& body) {
  bool tried = false;
  for (const Gpu& gpu : cudaStatus().gpus)
    for (const DType dtype : {DType::f32, DType::bf16}) {
      if (!tries(gpu.device)) continue;
      tried = true;
      const Scope scope(gpu.device + " " + dtypeName(dtype));
      const auto device = makeBackend(gpu.device, dtype, 1);
      const auto host = makeCpuBackend(dtype, static_cast<int>(std::thread::hardware_concurrency()));
      TrueShapes shapes(*device, *host);
      body(shapes);
    }
  if (!tried) std::fprintf(stderr, "SKIPPED: there is no GPU to try RND1's own shapes on\n");
  expect(true, "skipped");
}

/** The same for every row count. */
template <void (TrueShapes::*op)(int64_t)>
void atEveryRowCount() {
  forEachGpu([](TrueShapes& shapes) {
    for (const int64_t rows : rowCounts) {
      const Scope count(text(rows, " rows"));
      (shapes.*op)(rows);
    }
  });
}

const DeviceTests trueShapesTests{
    {"true shapes: projections", atEveryRowCount<&TrueShapes::projections>},
    {"true shapes: attention", atEveryRowCount<&TrueShapes::attention>},
    {"true shapes: mixture of experts", atEveryRowCount<&TrueShapes::mixture>},
    {"true shapes: scores", [] { forEachGpu([](TrueShapes& shapes) { shapes.scores(); }); }},
};

}  // namespace
}  // namespace rnd1::test
