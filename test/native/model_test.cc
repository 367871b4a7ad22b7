#include <algorithm>
#include <numeric>

#include "allocations.h"
#include "core/error.h"
#include "tiny_model.h"

namespace rnd1::test {
namespace {

std::vector<int32_t> randomTokens(Noise& noise, int64_t count) {
  std::vector<int32_t> tokens;
  for (int64_t i = 0; i < count; ++i) tokens.push_back(static_cast<int32_t>(noise.below(101)));
  return tokens;
}

/** The ids are the best k of the router's own logits, ties to the lower id. */
void expectRouted(const Pass& pass, int64_t expertsPerToken) {
  size_t next = 0;
  for (const Matrix& logits : pass.routerLogits)
    for (int64_t row = 0; row < logits.rows; ++row) {
      std::vector<int32_t> order(static_cast<size_t>(logits.columns));
      std::iota(order.begin(), order.end(), 0);
      std::stable_sort(order.begin(), order.end(),
                       [&](int32_t a, int32_t b) { return logits.at(row, a) > logits.at(row, b); });
      for (int64_t rank = 0; rank < expertsPerToken; ++rank)
        expectEqual(pass.expertIds[next++], order[static_cast<size_t>(rank)],
                    text("row ", row, ", rank ", rank));
    }
}

void expectPass(const Pass& actual, const oracle::ModelPass& expected, double bound) {
  for (size_t stage = 0; stage < expected.hidden.size(); ++stage)
    expectClose(actual.hidden[stage], expected.hidden[stage], bound, text("hidden state ", stage));
  for (size_t layer = 0; layer < expected.routerLogits.size(); ++layer) {
    expectClose(actual.routerLogits[layer], expected.routerLogits[layer], bound,
                text("router of layer ", layer));
    expectClose(actual.expertWeights[layer], expected.expertWeights[layer], bound,
                text("routing weights of layer ", layer));
  }
  expectClose(actual.logits, expected.logits, bound, "logits");
}

void forwardMatches() {
  const TinyOptions variants[] = {
      {true, false, {DType::bf16}},
      {false, false, {DType::f32}},
      {true, true, {DType::f32, DType::bf16, DType::f16, DType::bf16, DType::f32}}};
  forEachFactory([&](const BackendFactory& make) {
    uint64_t seed = 71;
    for (const TinyOptions& options : variants) {
      const Scope scope(text(options.normTopkProb ? "normalised" : "not normalised",
                             options.tieWordEmbeddings ? ", tied" : ""));
      TinyModel tiny(seed++, options);
      const auto model = tiny.load(make(2));
      const DType arithmetic = model->backend().dtype();
      Noise noise(seed);
      std::vector<std::vector<int32_t>> canvases;
      for (const int64_t length : {1, 7, 33}) canvases.push_back(randomTokens(noise, length));
      const auto passes = forward(*model, canvases);
      for (size_t i = 0; i < canvases.size(); ++i) {
        const Scope canvas(text("canvas of ", canvases[i].size()));
        expectRouted(passes[i], tiny.config().expertsPerToken);
        expectPass(passes[i], oracle::model(tiny, arithmetic, canvases[i], passes[i].expertIds),
                   modelTolerance(arithmetic));
      }
    }
  });
}

void forcedExperts() {
  forEachFactory([](const BackendFactory& make) {
    TinyModel tiny(75);
    const auto model = tiny.load(make(2));
    const Config& config = tiny.config();
    Noise noise(75);
    const std::vector<std::vector<int32_t>> canvases{randomTokens(noise, 9), randomTokens(noise, 4)};
    std::vector<std::vector<int32_t>> forced;
    for (const auto& canvas : canvases) {
      forced.emplace_back();
      for (size_t i = 0; i < canvas.size() * static_cast<size_t>(config.layers); ++i) {
        const auto first = static_cast<int32_t>(noise.below(config.experts));
        for (const int32_t step : {0, 4, 2})
          forced.back().push_back((first + step) % static_cast<int32_t>(config.experts));
      }
    }
    const auto passes = forward(*model, canvases, forced);
    for (size_t i = 0; i < canvases.size(); ++i) {
      expect(passes[i].expertIds == forced[i], "the ids are not the forced ones");
      expectPass(passes[i], oracle::model(tiny, model->backend().dtype(), canvases[i], forced[i]),
                 modelTolerance(model->backend().dtype()));
    }
    ForwardCanvas requests[2];
    requests[0] = {canvases[0], {}, forced[0], {}, {}, {}, {}, {}};
    requests[1].tokens = canvases[1];
    const AbortFlag never;
    expectThrows<Error>([&] { model->forward(requests, never); }, "forced experts for one canvas of two");
    // The failure leaves nothing behind.
    expectSameBits(forward(*model, canvases, forced)[1].logits.values, passes[1].logits.values,
                   "the next pass");
  });
}

void chosenRows() {
  TinyModel tiny(76);
  const auto model = tiny.load(makeCpuBackend(DType::f32, 2));
  Noise noise(76);
  // More rows than fit into one piece of logits, out of order and repeated.
  const auto tokens = randomTokens(noise, 150);
  const Pass whole = forward(*model, {tokens})[0];
  std::vector<int32_t> rows;
  for (int i = 0; i < 200; ++i) rows.push_back(static_cast<int32_t>(noise.below(150)));
  Matrix logits(200, tiny.config().vocabulary);
  Matrix hidden(200 * (tiny.config().layers + 2), tiny.config().hidden);
  ForwardCanvas request;
  request.tokens = tokens;
  request.rows = rows;
  request.logits = logits.values;
  request.hidden = hidden.values;
  const AbortFlag never;
  model->forward({&request, 1}, never);
  const std::vector<int64_t> selected(rows.begin(), rows.end());
  expectSameBits(logits.values, selectRows(whole.logits, selected).values, "logits");
  for (int64_t stage = 0; stage < tiny.config().layers + 2; ++stage)
    expectSameBits(rowRange(hidden, stage * 200, 200).values,
                   selectRows(whole.hidden[static_cast<size_t>(stage)], selected).values,
                   text("stage ", stage));
}

void canvasesStandAlone() {
  forEachFactory([](const BackendFactory& make) {
    TinyModel tiny(77, {true, false, {DType::bf16, DType::f16, DType::f32}});
    const auto alone = tiny.load(make(1));
    Noise noise(77);
    std::vector<std::vector<int32_t>> canvases;
    for (const int64_t length : {7, 33, 1, 129, 16}) canvases.push_back(randomTokens(noise, length));
    const auto batch = forward(*alone, canvases);
    for (size_t i = 0; i < canvases.size(); ++i)
      expectSameBits(forward(*alone, {canvases[i]})[0].logits.values, batch[i].logits.values,
                     text("canvas ", i, " alone"));
    for (const int threads : {2, 3}) {
      const auto passes = forward(*tiny.load(make(threads)), canvases);
      for (size_t i = 0; i < canvases.size(); ++i)
        expectSameBits(passes[i].logits.values, batch[i].logits.values,
                       text("canvas ", i, ", ", threads, " threads"));
    }
  });
}

/** A step's canvas with memory of its own. */
struct Canvas {
  std::vector<int32_t> tokens, masked;
  std::vector<uint8_t> eligible;
  SamplingPlan sampling;
  UnmaskPlan unmask;
  std::vector<Score> scores;
  std::vector<uint8_t> committed;

  StepCanvas view() { return {tokens, masked, eligible, sampling, unmask, scores, committed, true}; }
};

Canvas stepCanvas(Noise& noise, int64_t length, int64_t firstMasked) {
  Canvas canvas;
  canvas.tokens = randomTokens(noise, length);
  for (int64_t position = firstMasked; position < length; position += 1 + noise.below(2)) {
    canvas.masked.push_back(static_cast<int32_t>(position));
    canvas.eligible.push_back(noise.uniform() < 0.8);
  }
  canvas.scores.resize(canvas.masked.size());
  canvas.committed.assign(canvas.masked.size(), 0xee);
  canvas.unmask.value = static_cast<double>(canvas.masked.size() / 2);
  return canvas;
}

std::vector<Canvas> stepCanvases(Noise& noise) {
  std::vector<Canvas> canvases;
  for (const int64_t length : {9, 33, 2, 70})
    canvases.push_back(stepCanvas(noise, length, length == 33 ? 0 : 1));
  canvases[1].sampling = {0.8f, 12, 0.9f, false, 99, 4, {}};
  canvases[1].unmask = {UnmaskOrder::confidence, UnmaskLimit::gamma, 2.5, 0, 0};
  canvases[3].sampling = {1.2f, 0, 0, false, 7, 1, {}};
  canvases[3].unmask = {UnmaskOrder::random, UnmaskLimit::keep, 11, 7, 1};
  return canvases;
}

void step(Model& model, std::vector<Canvas>& canvases, std::vector<bool>* finite = nullptr) {
  std::vector<StepCanvas> views;
  for (Canvas& canvas : canvases) views.push_back(canvas.view());
  const AbortFlag never;
  model.step(views, never);
  for (size_t i = 0; finite && i < views.size(); ++i) finite->push_back(views[i].finite);
}

void expectSameStep(const Canvas& actual, const Canvas& expected, const std::string& what) {
  expect(actual.committed == expected.committed, what + ": other positions are committed");
  for (size_t i = 0; i < expected.scores.size(); ++i) {
    const Score &a = actual.scores[i], &b = expected.scores[i];
    expect(
        a.token == b.token && a.confidence == b.confidence && a.entropy == b.entropy && a.margin == b.margin,
        text(what, ": score ", i, ": token ", a.token, ", confidence ", a.confidence, "; expected ", b.token,
             ", ", b.confidence));
  }
}

void stepIsForwardScoreUnmask() {
  forEachFactory([](const BackendFactory& make) {
    TinyModel tiny(78);
    const auto model = tiny.load(make(2));
    Noise noise(78);
    auto canvases = stepCanvases(noise);
    const std::vector<int32_t> banned{0, 3, 100};
    canvases[0].sampling.banned = banned;
    std::vector<bool> finite;
    step(*model, canvases, &finite);
    for (size_t i = 0; i < canvases.size(); ++i) {
      const Canvas& canvas = canvases[i];
      const Scope scope(text("canvas ", i));
      expect(finite[i], "it is not finite");
      const Matrix logits = forward(*model, {canvas.tokens})[0].logits;
      std::vector<ScoreRow> rows;
      for (size_t m = 0; m < canvas.masked.size(); ++m) {
        const int32_t position = canvas.masked[m];
        rows.push_back({0, position, canvas.tokens[static_cast<size_t>(position)]});
        const Score& score = canvas.scores[m];
        if (position == 0) {
          expectEqual(score.token, canvas.tokens[0], "token of position 0");
          continue;
        }
        // The logits of a position predict the next one.
        const auto truth = oracle::score({logits.row(position - 1), static_cast<size_t>(logits.columns)},
                                         canvas.sampling, position);
        expect(score.token == truth.token || truth.keys[static_cast<size_t>(truth.token)] -
                                                     truth.keys[static_cast<size_t>(score.token)] <
                                                 decisionSlack,
               text("position ", position, ": token ", score.token, ", expected ", truth.token));
        expect(std::abs(score.entropy - truth.entropy) < 1e-5, text("entropy of position ", position));
      }
      expect(canvas.committed == oracle::unmask(rows, canvas.scores, canvas.eligible, canvas.unmask),
             "the committed positions are not those of the plan");
    }
  });
}

void stepsStandAlone() {
  forEachFactory([](const BackendFactory& make) {
    TinyModel tiny(79);
    Noise noise(79);
    const auto given = stepCanvases(noise);
    const auto model = tiny.load(make(1));
    auto batch = given;
    step(*model, batch);
    for (size_t i = 0; i < given.size(); ++i) {
      std::vector<Canvas> alone{given[i]};
      step(*model, alone);
      expectSameStep(alone[0], batch[i], text("canvas ", i, " alone"));
    }
    for (const int threads : {2, 3}) {
      auto other = given;
      step(*tiny.load(make(threads)), other);
      for (size_t i = 0; i < given.size(); ++i)
        expectSameStep(other[i], batch[i], text("canvas ", i, ", ", threads, " threads"));
    }
  });
}

void notFinite() {
  forEachFactory([](const BackendFactory& make) {
    TinyModel clean(80);
    TinyModel spoilt(80);
    spoilt.spoilToken(17);
    Noise noise(80);
    auto canvases = stepCanvases(noise);
    for (Canvas& canvas : canvases)
      for (int32_t& token : canvas.tokens)
        if (token == 17) token = 18;
    auto expected = canvases;
    step(*clean.load(make(2)), expected);
    canvases[1].tokens[5] = 17;
    std::vector<bool> finite;
    step(*spoilt.load(make(2)), canvases, &finite);
    for (size_t i = 0; i < canvases.size(); ++i) {
      expect(finite[i] == (i != 1), text("canvas ", i, " is finite: ", finite[i]));
      if (i != 1) expectSameStep(canvases[i], expected[i], text("canvas ", i));
    }
  });
}

void stepAllocatesNothing() {
  if (!allocationsAreCounted()) {
    expect(true, "not counted under this sanitizer");
    return;
  }
  forEachFactory([](const BackendFactory& make) {
    TinyModel tiny(81);
    const auto model = tiny.load(make(3));
    Noise noise(81);
    auto canvases = stepCanvases(noise);
    model->reserve(200, 4, 70, 200, true);
    std::vector<StepCanvas> views;
    for (Canvas& canvas : canvases) views.push_back(canvas.view());
    const AbortFlag never;
    for (int round = 0; round < 2; ++round) {
      const int64_t before = allocationCount();
      model->step(views, never);
      const int64_t allocations = allocationCount() - before;
      expectEqual(allocations, int64_t{0}, text("allocations of step ", round));
    }
  });
}

void aborts() {
  TinyModel tiny(82);
  const auto model = tiny.load(makeCpuBackend(DType::f32, 2));
  Noise noise(82);
  auto canvases = stepCanvases(noise);
  std::vector<StepCanvas> views;
  for (Canvas& canvas : canvases) views.push_back(canvas.view());
  AbortFlag set;
  set.abort();
  try {
    model->step(views, set);
    fail("an aborted step returns");
  } catch (const Error& error) {
    expect(error.code() == ErrorCode::aborted, error.what());
  }
  auto expected = canvases;
  step(*tiny.load(makeCpuBackend(DType::f32, 2)), expected);
  step(*model, canvases);
  for (size_t i = 0; i < canvases.size(); ++i) expectSameStep(canvases[i], expected[i], "the step after it");
}

const Tests modelTests{
    {"model: packed canvases against float64, all of it", forwardMatches},
    {"model: forced experts", forcedExperts},
    {"model: any rows in any order", chosenRows},
    {"model: a canvas has the same bits in any batch, with any number of threads", canvasesStandAlone},
    {"model: a step is forward, shift, score and unmask", stepIsForwardScoreUnmask},
    {"model: a step has the same bits in any batch, with any number of threads", stepsStandAlone},
    {"model: NaN fails its own canvas alone", notFinite},
    {"model: a step allocates nothing", stepAllocatesNothing},
    {"model: an aborted step throws and leaves the model usable", aborts},
};

}  // namespace
}  // namespace rnd1::test
