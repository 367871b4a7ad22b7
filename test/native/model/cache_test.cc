// Key/value caches: passes that compute some rows and read the others give the bits of passes that compute
// all.
#include <numeric>

#include "allocations.h"
#include "core/error.h"
#include "model_support.h"

namespace rnd1::test {
namespace {

std::vector<int32_t> range(int32_t first, int32_t end) {
  std::vector<int32_t> positions(static_cast<size_t>(end - first));
  std::iota(positions.begin(), positions.end(), first);
  return positions;
}

/** A canvas of a step with its memory and, if `cache` is not null, the rows to compute. */
struct Canvas {
  std::vector<int32_t> tokens, masked, rows;
  KeyValueCache* cache = nullptr;
  SamplingPlan sampling = {};
  std::vector<uint8_t> eligible = {};
  std::vector<Score> scores = {};

  StepCanvas view() {
    eligible.assign(masked.size(), 1);
    scores.assign(masked.size(), {});
    StepCanvas canvas;
    canvas.tokens = tokens;
    canvas.masked = masked;
    canvas.eligible = eligible;
    canvas.scores = scores;
    canvas.sampling = sampling;
    canvas.cached = {cache, rows};
    return canvas;
  }
};

void step(Model& model, std::vector<Canvas>& canvases) {
  std::vector<StepCanvas> views;
  for (Canvas& canvas : canvases) views.push_back(canvas.view());
  const AbortFlag never;
  model.step(views, never);
}

std::vector<Score> scoresOf(Model& model, const Canvas& canvas) {
  std::vector<Canvas> one{canvas};
  step(model, one);
  return one[0].scores;
}

/** Of the same canvas without a cache. */
std::vector<Score> uncached(Model& model, Canvas canvas) {
  canvas.cache = nullptr;
  return scoresOf(model, canvas);
}

void expectSame(const std::vector<Score>& actual, const std::vector<Score>& expected,
                const std::string& what) {
  expectEqual(actual.size(), expected.size(), what + ": scores");
  for (size_t i = 0; i < expected.size(); ++i) {
    const Score &a = actual[i], &b = expected[i];
    expect(a.token == b.token && a.confidence == b.confidence && a.entropy == b.entropy &&
               a.margin == b.margin && a.committed == b.committed,
           text(what, ": score ", i, ": token ", a.token, ", confidence ", a.confidence, "; expected ",
                b.token, ", ", b.confidence));
  }
}

/** Heads of `headDim` columns, fewer of them for keys in the middle layer, and an attention mask. */
TinyOptions options(int64_t headDim, int32_t block, Prediction prediction) {
  return {true, false, {DType::bf16}, [=](Architecture& architecture) {
            for (LayerShape& layer : architecture.layers) {
              layer.attention.heads = {4, 2, headDim};
              layer.attention.mask = {block};
            }
            architecture.layers[1].attention.heads.keyValueHeads = 1;
            architecture.prediction = prediction;
          }};
}

std::unique_ptr<KeyValueCache> cacheOf(Model& model, int64_t positions) {
  return std::make_unique<KeyValueCache>(model.backend(), model.architecture(), positions);
}

/** Blocks from left to right: the first step of a block also computes the one before, which is final now. */
void finishedBlocksAreKept() {
  forEachFactory([](const BackendFactory& make) {
    for (const int64_t headDim : {20, 64})
      for (const int32_t block : {4, 32}) {
        const Scope scope(text("head ", headDim, ", blocks of ", block));
        TinyModel tiny(61, options(headDim, block, {0, false}));
        const auto model = tiny.load(make(2));
        const auto cache = cacheOf(*model, 3 * block);
        Noise noise(61);
        std::vector<int32_t> tokens = randomTokens(noise, 3 * block);
        for (int32_t first = 0; first < 3 * block; first += block)
          for (int round = 0; round < 2; ++round) {
            const int32_t from = round == 0 ? std::max(first - block, 0) : first;
            Canvas canvas{{tokens.begin(), tokens.begin() + first + block},
                          range(first + round, first + block),
                          range(from, first + block),
                          cache.get()};
            if (round == 1) canvas.sampling = {0.8f, 12, 0.9f, false, 99, 4, {}};
            expectSame(scoresOf(*model, canvas), uncached(*model, canvas),
                       text("block from ", first, ", round ", round));
            tokens[static_cast<size_t>(first + round)] = static_cast<int32_t>(noise.below(101));
          }
      }
  });
}

/** A causal model: all of the prompt, then a row a step. */
void causalRowsAreKept() {
  forEachFactory([](const BackendFactory& make) {
    TinyModel tiny(62, options(20, 1, previousRow));
    const auto model = tiny.load(make(2));
    const auto cache = cacheOf(*model, 90);
    Noise noise(62);
    const std::vector<int32_t> tokens = randomTokens(noise, 90);
    for (int32_t position = 70; position < 90; ++position) {
      const int32_t from = position == 70 ? 0 : position - 1;
      const Canvas canvas{
          {tokens.begin(), tokens.begin() + position + 1}, {position}, range(from, position), cache.get()};
      expectSame(scoresOf(*model, canvas), uncached(*model, canvas), text("position ", position));
    }
  });
}

/** Without a mask, cached keys are those of the pass that computed them, whatever the tokens are now. */
void bidirectionalKeysAreAsComputed() {
  forEachFactory([](const BackendFactory& make) {
    TinyModel tiny(63, options(64, 0, previousRow));
    const auto model = tiny.load(make(2));
    const auto cache = cacheOf(*model, 100);
    Noise noise(63);
    Canvas canvas{randomTokens(noise, 75), {30, 31, 40}, range(0, 75), cache.get()};
    const std::vector<Score> expected = uncached(*model, canvas);
    expectSame(scoresOf(*model, canvas), expected, "all rows");
    canvas.rows = {2, 29, 30, 39, 60};
    expectSame(scoresOf(*model, canvas), expected, "some rows");
    canvas.tokens[3] = (canvas.tokens[3] + 1) % 101;
    expectSame(scoresOf(*model, canvas), expected, "some rows, another token elsewhere");
    canvas.rows = {3, 29, 30, 39};
    const std::vector<Score> other = scoresOf(*model, canvas);
    expect(other[0].confidence != expected[0].confidence, "a computed token changes nothing");
    canvas.rows = {29, 30, 39};
    expectSame(scoresOf(*model, canvas), other, "the replaced keys");
  });
}

void batchesMix() {
  forEachFactory([](const BackendFactory& make) {
    TinyModel tiny(64, options(64, 32, {0, false}));
    Noise noise(64);
    std::vector<Canvas> given{{randomTokens(noise, 64), {40, 50}, range(32, 64)},
                              {randomTokens(noise, 33), {1, 32}, {}},
                              {randomTokens(noise, 96), range(64, 96), range(60, 96)},
                              {randomTokens(noise, 40), {35}, {33, 35, 36}}};
    given[1].sampling = {0.8f, 12, 0.9f, false, 99, 4, {}};
    std::vector<std::vector<Score>> expected;
    for (const int threads : {1, 2, 3}) {
      const auto model = tiny.load(make(threads));
      std::vector<std::unique_ptr<KeyValueCache>> caches;
      std::vector<Canvas> batch = given;
      for (Canvas& canvas : batch) {
        if (canvas.rows.empty()) continue;
        caches.push_back(cacheOf(*model, 100));
        canvas.cache = caches.back().get();
        Canvas all = canvas;
        all.rows = range(0, static_cast<int32_t>(canvas.tokens.size()));
        scoresOf(*model, all);
      }
      if (threads == 1)
        for (const Canvas& canvas : batch) expected.push_back(uncached(*model, canvas));
      for (int round = 0; round < 3; ++round) {
        step(*model, batch);
        for (size_t i = 0; i < batch.size(); ++i)
          expectSame(batch[i].scores, expected[i], text(threads, " threads, canvas ", i));
      }
    }
  });
}

void forwardReadsCaches() {
  forEachFactory([](const BackendFactory& make) {
    TinyModel tiny(65, options(20, 0, previousRow));
    const auto model = tiny.load(make(2));
    const auto cache = cacheOf(*model, 64);
    Noise noise(65);
    const std::vector<int32_t> tokens = randomTokens(noise, 50), all = range(0, 50);
    const std::vector<int32_t> computed{3, 20, 21, 49}, wanted{49, 20};
    const Pass whole = forward(*model, {tokens})[0];
    const AbortFlag never;
    for (const auto& rows : {all, computed}) {
      const int64_t vocabulary = model->architecture().vocabulary, hidden = model->architecture().hidden;
      Matrix logits(2, vocabulary), states(5 * 2, hidden);
      ForwardCanvas request;
      request.tokens = tokens;
      request.rows = wanted;
      request.logits = logits.values;
      request.hidden = states.values;
      request.cached = {cache.get(), rows};
      model->forward({&request, 1}, never);
      for (int64_t i = 0; i < 2; ++i) {
        const int64_t position = wanted[static_cast<size_t>(i)];
        expectSameBits(rowRange(logits, i, 1).values, rowRange(whole.logits, position, 1).values, "logits");
        for (int64_t stage = 0; stage < 5; ++stage)
          expectSameBits(rowRange(states, stage * 2 + i, 1).values,
                         rowRange(whole.hidden[static_cast<size_t>(stage)], position, 1).values,
                         text("hidden states ", stage));
      }
    }
  });
}

void refuses() {
  TinyModel tiny(66, options(20, 8, previousRow));
  forEachFactory([&](const BackendFactory& make) {
    const auto model = tiny.load(make(1));
    const auto cache = cacheOf(*model, 32), other = cacheOf(*model, 32);
    Noise noise(66);
    const Canvas canvas{randomTokens(noise, 24), {20}, range(0, 24), cache.get()};
    const auto refused = [&](std::vector<Canvas> canvases, const char* why) {
      const std::string message = expectThrows<Error>([&] { step(*model, canvases); }, why);
      expect(message.find(why) != std::string::npos, message);
    };
    Canvas changed = canvas;
    changed.rows = range(16, 24);
    refused({changed}, "position 0 was never computed");
    scoresOf(*model, canvas);
    scoresOf(*model, changed);
    changed.rows = {16, 18, 20, 21};
    refused({changed}, "masked position 20 is predicted by row 19, which is not among the rows");
    changed.rows = {19, 18};
    refused({changed}, "18 is not");
    changed.rows = {19, 24};
    refused({changed}, "24 is not");
    changed.rows = {-1, 19};
    refused({changed}, "-1 is not");
    changed.rows = {};
    refused({changed}, "rows must not be empty");
    refused({canvas, canvas}, "two canvases of a call have the same one");
    changed = canvas;
    changed.tokens.resize(33);
    refused({changed}, "the canvas has 33 positions, the cache 32");

    // What a failed pass should have computed is unknown.
    changed = canvas;
    changed.rows = {9, 19};
    AbortFlag set;
    set.abort();
    StepCanvas view = changed.view();
    expectThrows<Error>([&] { model->step({&view, 1}, set); }, "an aborted step");
    changed.rows = {19};
    refused({changed}, "position 9 was never computed");
    changed.rows = {9, 19};
    expectSame(scoresOf(*model, changed), uncached(*model, changed), "computed again");

    // Blocks that no row sees are not needed.
    changed = {canvas.tokens, {3}, range(0, 8), other.get()};
    expectSame(scoresOf(*model, changed), uncached(*model, changed), "the first block alone");
    expectThrows<Error>([&] { cacheOf(*model, 513); }, "more positions than the model has");
    expectEqual(cache->bytes(), 32 * 2 * 5 * 20 * static_cast<int64_t>(dtypeSize(model->backend().dtype())),
                "bytes");
  });
}

void cachedStepsAllocateNothing() {
  if (!allocationsAreCounted()) {
    expect(true, "not counted here");
    return;
  }
  forEachFactory([](const BackendFactory& make) {
    TinyModel tiny(67, options(64, 0, previousRow));
    const auto model = tiny.load(make(3));
    const auto cache = cacheOf(*model, 70);
    Noise noise(67);
    Canvas canvas{randomTokens(noise, 70), {20, 30}, range(0, 70), cache.get()};
    scoresOf(*model, canvas);
    canvas.rows = {3, 19, 29};
    StepCanvas view = canvas.view();
    const AbortFlag never;
    // A GPU builds its tables in the first step of a shape and records the second.
    for (int round = 0; round < 4; ++round) {
      const int64_t before = allocationCount();
      model->step({&view, 1}, never);
      if (round >= 2) expectEqual(allocationCount() - before, int64_t{0}, text("step ", round));
    }
  });
}

const DeviceTests cacheTests{
    {"cache: kept blocks give the same bits", finishedBlocksAreKept},
    {"cache: a row a step gives the same bits", causalRowsAreKept},
    {"cache: without a mask, keys stay as they were computed", bidirectionalKeysAreAsComputed},
    {"cache: canvases with and without share steps", batchesMix},
    {"cache: forward passes read it", forwardReadsCaches},
    {"cache: what does not suit the canvas is refused", refuses},
    {"cache: steps allocate nothing", cachedStepsAllocateNothing},
};

}  // namespace
}  // namespace rnd1::test
