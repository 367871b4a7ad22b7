// Repeated steps are replayed, with the same results.
#include "backend/cuda/cuda_backend.h"
#include "cuda_runtime.h"
#include "model_support.h"

namespace rnd1::test {
namespace {

struct Step {
  std::vector<int32_t> tokens, masked;
  std::vector<uint8_t> eligible;
  std::vector<Score> scores;

  explicit Step(std::vector<int32_t> given, int32_t stride = 2) : tokens(std::move(given)) {
    for (int32_t position = 1; position < static_cast<int32_t>(tokens.size()); position += stride)
      masked.push_back(position);
    eligible.assign(masked.size(), 1);
    scores.resize(masked.size());
  }

  void run(Model& model) {
    StepCanvas canvas;
    canvas.tokens = tokens;
    canvas.masked = masked;
    canvas.eligible = eligible;
    canvas.scores = scores;
    const AbortFlag never;
    model.step({&canvas, 1}, never);
  }
};

void expectSame(const Step& actual, const Step& expected, const std::string& what) {
  for (size_t i = 0; i < expected.scores.size(); ++i)
    expect(actual.scores[i].token == expected.scores[i].token &&
               actual.scores[i].confidence == expected.scores[i].confidence &&
               actual.scores[i].entropy == expected.scores[i].entropy &&
               actual.scores[i].committed == expected.scores[i].committed,
           text(what, ": score ", i));
}

void replays() {
  TinyModel tiny(90);
  Noise noise(90);
  const std::vector<int32_t> first = randomTokens(noise, 21), second = randomTokens(noise, 21);
  const auto model = tiny.load(std::make_unique<cuda::CudaBackend>(DType::f32, 0));
  Step expectedFirst(first), expectedSecond(second);
  expectedFirst.run(*model);
  const auto fresh = tiny.load(std::make_unique<cuda::CudaBackend>(DType::f32, 0));
  expectedSecond.run(*fresh);
  int64_t launched = sim::graphLaunches();
  for (int round = 0; round < 3; ++round) {
    Step again(first), other(second);
    again.run(*model);
    other.run(*model);
    expectSame(again, expectedFirst, text("round ", round));
    expectSame(other, expectedSecond, text("round ", round, ", other tokens"));
  }
  expectEqual(sim::graphLaunches() - launched, int64_t{6}, "steps that were replayed");

  // A longer canvas moves memory: old recordings must not be replayed.
  Step longer(randomTokens(noise, 70));
  longer.run(*model);
  launched = sim::graphLaunches();
  Step after(first);
  after.run(*model);
  expectSame(after, expectedFirst, "after memory has moved");
  expectEqual(sim::graphLaunches() - launched, int64_t{0}, "replays after memory has moved");
}

/** One recording serves every count of its bucket: rows, canvases' lengths, rows that are scored. */
void sharesBuckets() {
  TinyModel tiny(91);
  Noise noise(91);
  const auto make = [&] { return tiny.load(std::make_unique<cuda::CudaBackend>(DType::bf16, 0)); };
  const auto model = make();
  expectEqual(model->backend().bucket(21, 21), int64_t{24}, "the bucket of 21");
  Step first(randomTokens(noise, 24));
  for (int round = 0; round < 2; ++round) first.run(*model);
  for (const int64_t length : {21, 22, 24})
    for (const int32_t stride : {1, 2, 9}) {
      const std::vector<int32_t> tokens = randomTokens(noise, length);
      const int64_t launched = sim::graphLaunches();
      Step replayed(tokens, stride), alone(tokens, stride);
      replayed.run(*model);
      const std::string what = text(length, " tokens, every ", stride, "th masked");
      expectEqual(sim::graphLaunches() - launched, int64_t{1}, what);
      alone.run(*make());
      expectSame(replayed, alone, what);
    }
}

/** Caches are reached through tables: a recording serves all of them, also those made or freed later. */
void sharesCaches() {
  TinyModel tiny(92);
  const auto model = tiny.load(std::make_unique<cuda::CudaBackend>(DType::bf16, 0));
  Noise noise(92);
  const std::vector<int32_t> rows{4, 9, 11};
  const AbortFlag never;
  const auto run = [&](Step& step, KeyValueCache* cache, std::span<const int32_t> computed) {
    step.masked = {5, 12};
    StepCanvas canvas;
    canvas.tokens = step.tokens;
    canvas.masked = step.masked;
    canvas.eligible = step.eligible;
    canvas.scores = step.scores;
    canvas.cached = {cache, computed};
    model->step({&canvas, 1}, never);
  };
  std::vector<int32_t> all(24);
  for (int32_t i = 0; i < 24; ++i) all[static_cast<size_t>(i)] = i;
  for (int round = 0; round < 4; ++round) {
    Step step(randomTokens(noise, 24), 12), expected = step;
    run(expected, nullptr, {});
    KeyValueCache cache(model->backend(), model->architecture(), 24 + round);
    run(step, &cache, all);
    expectSame(step, expected, text("cache ", round, ", all rows"));
    const int64_t launched = sim::graphLaunches();
    run(step, &cache, rows);
    expectSame(step, expected, text("cache ", round, ", some rows"));
    expectEqual(sim::graphLaunches() - launched, int64_t{round > 0}, text("replays, cache ", round));
  }
}

/** The same key with larger shapes: rejected during recording, without side effects. */
void refusesLargerShapes() {
  cuda::CudaBackend backend(DType::bf16, 0);
  Noise noise(93);
  const Weight weight = backend.place(HostWeight(noise.matrix(16, 24), DType::bf16).mapped());
  const DeviceMatrix few(backend, noise.matrix(600, 24, DType::bf16)),
      many(backend, noise.matrix(700, 24, DType::bf16)), out(backend, 700, 16);
  const auto run = [&](const DeviceMatrix& x) {
    const Tensor rows = out.tensor().rowRange(0, x.tensor().rows);
    // From 512 rows on, matmuls need scratch memory.
    backend.runSequence({1, 1, false, false}, [&] { backend.matmul(x, {&weight, 1}, rows); });
    backend.synchronize();
  };
  run(few);
  const std::string message = expectThrows<Error>([&] { run(many); }, "a key with larger shapes");
  expect(message.find("other shapes") != std::string::npos, message);
  for (int round = 0; round < 3; ++round) run(few);
  const Matrix replayed = rowRange(out.host(), 0, 600);
  backend.matmul(few, {&weight, 1}, out.tensor().rowRange(0, 600));
  expect(rowRange(out.host(), 0, 600).values == replayed.values,
         "what was recorded later gives something else");
}

const Tests recordingTests{
    {"recording: a key whose shapes have grown is refused", refusesLargerShapes},
    {"recording: a step that comes again is replayed, until memory moves", replays},
    {"recording: one serves all caches", sharesCaches},
    {"recording: one serves all lengths and all rounds of a bucket", sharesBuckets},
};

}  // namespace
}  // namespace rnd1::test
