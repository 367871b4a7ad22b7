#include <limits>

#include "allocations.h"
#include "core/error.h"
#include "model_support.h"

namespace rnd1::test {
namespace {

/** A StepCanvas that owns its memory. */
struct Canvas {
  std::vector<int32_t> tokens, masked;
  std::vector<uint8_t> eligible;
  SamplingPlan sampling;
  UnmaskPlan unmask;
  std::vector<Score> scores;

  StepCanvas view() { return {tokens, masked, eligible, sampling, unmask, scores, true}; }
};

Canvas stepCanvas(Noise& noise, int64_t length, int64_t firstMasked) {
  Canvas canvas;
  canvas.tokens = randomTokens(noise, length);
  for (int64_t position = firstMasked; position < length; position += 1 + noise.below(2)) {
    canvas.masked.push_back(static_cast<int32_t>(position));
    canvas.eligible.push_back(noise.uniform() < 0.8);
  }
  canvas.scores.resize(canvas.masked.size());
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
  for (size_t i = 0; i < expected.scores.size(); ++i) {
    const Score &a = actual.scores[i], &b = expected.scores[i];
    expect(a.token == b.token && a.confidence == b.confidence && a.entropy == b.entropy &&
               a.margin == b.margin && a.committed == b.committed,
           text(what, ": score ", i, ": token ", a.token, ", confidence ", a.confidence, "; expected ",
                b.token, ", ", b.confidence));
  }
}

/** The logits of a row predict the next position, or their own; position 0 keeps its token, or not. */
void stepIsForwardScoreUnmask(Prediction prediction) {
  forEachFactory([&](const BackendFactory& make) {
    TinyModel tiny(78, {true, false, {DType::bf16}, [&](Architecture& a) { a.prediction = prediction; }});
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
        if (position == 0 && prediction.keepsFirst) {
          expectEqual(score.token, canvas.tokens[0], "token of position 0");
          expectEqual(score.confidence, std::numeric_limits<float>::lowest(), "confidence of position 0");
          continue;
        }
        const float* predicting = logits.row(position == 0 ? 0 : position - prediction.shift);
        const auto truth =
            oracle::score({predicting, static_cast<size_t>(logits.columns)}, canvas.sampling, position);
        expect(score.token == truth.token || truth.keys[static_cast<size_t>(truth.token)] -
                                                     truth.keys[static_cast<size_t>(score.token)] <
                                                 decisionSlack,
               text("position ", position, ": token ", score.token, ", expected ", truth.token));
        expect(std::abs(score.entropy - truth.entropy) < 1e-5, text("entropy of position ", position));
      }
      std::vector<uint8_t> committed;
      for (const Score& score : canvas.scores) committed.push_back(score.committed);
      expect(committed == oracle::unmask(rows, canvas.scores, canvas.eligible, canvas.unmask),
             "the committed positions are not those of the plan");
    }
  });
}

void predictsNext() { stepIsForwardScoreUnmask(previousRow); }
void predictsOwn() { stepIsForwardScoreUnmask({0, false}); }
void predictsNextAndFirst() { stepIsForwardScoreUnmask({1, false}); }

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
    expect(true, "not counted here");
    return;
  }
  forEachFactory([](const BackendFactory& make) {
    TinyModel tiny(81);
    const auto model = tiny.load(make(3));
    Noise noise(81);
    auto canvases = stepCanvases(noise);
    model->reserve({200, 4, true, 16}, 70, 200);
    std::vector<StepCanvas> views;
    for (Canvas& canvas : canvases) views.push_back(canvas.view());
    const AbortFlag never;
    // A GPU builds its tables in the first step of a shape and records the second.
    const int ready = model->backend().device() == "cpu" ? 0 : 2;
    for (int round = 0; round < ready + 2; ++round) {
      const int64_t before = allocationCount();
      model->step(views, never);
      const int64_t allocations = allocationCount() - before;
      if (round < ready) continue;
      expectEqual(allocations, int64_t{0}, text("allocations of step ", round));
    }
  });
}

/** Backends record repeated steps. */
void stepsComeAgain() {
  forEachFactory([](const BackendFactory& make) {
    TinyModel tiny(83);
    const auto model = tiny.load(make(2));
    Noise noise(83);
    const std::vector<std::vector<Canvas>> given{stepCanvases(noise), stepCanvases(noise)};
    std::vector<std::vector<Canvas>> expected = given;
    for (auto& canvases : expected) step(*tiny.load(make(2)), canvases);
    for (int round = 0; round < 4; ++round)
      for (size_t which = 0; which < given.size(); ++which) {
        auto canvases = given[which];
        step(*model, canvases);
        for (size_t i = 0; i < canvases.size(); ++i)
          expectSameStep(canvases[i], expected[which][i], text("round ", round, ", canvas ", i));
      }
  });
}

void abortsOn(const BackendFactory& make) {
  TinyModel tiny(82);
  const auto model = tiny.load(make(2));
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
  // Another batch, in memory that the aborted step might still be reading.
  auto others = stepCanvases(noise);
  auto expected = others;
  step(*tiny.load(make(2)), expected);
  step(*model, others);
  for (size_t i = 0; i < others.size(); ++i) expectSameStep(others[i], expected[i], "the step after it");
}

const DeviceTests stepTests{
    {"model: a step is forward, shift, score and unmask", predictsNext},
    {"model: a step where rows predict their own position", predictsOwn},
    {"model: a step where position 0 is predicted, too", predictsNextAndFirst},
    {"model: a step has the same bits in any batch, with any number of threads", stepsStandAlone},
    {"model: NaN fails its own canvas alone", notFinite},
    {"model: a step allocates nothing", stepAllocatesNothing},
    {"model: a step that comes again gives the same", stepsComeAgain},
    {"model: an aborted step throws and leaves the model usable", [] { forEachFactory(abortsOn); }},
};

}  // namespace
}  // namespace rnd1::test
