// Steps with guidance, a shift of their own, another attention mask.
#include <limits>

#include "allocations.h"
#include "core/error.h"
#include "model_support.h"

namespace rnd1::test {
namespace {

/** A StepCanvas that owns its memory. */
struct Canvas {
  std::vector<int32_t> tokens, masked, unconditional, ids;
  SamplingPlan sampling;
  std::optional<int32_t> shift;
  std::vector<uint8_t> eligible;
  std::vector<Score> scores;

  StepCanvas view() {
    StepCanvas canvas{tokens, masked, eligible, sampling, {}, scores, true, unconditional, shift};
    canvas.sampling.banned = ids;
    return canvas;
  }
};

Canvas makeCanvas(Noise& noise, int64_t length, bool guided, std::optional<int32_t> shift = {}) {
  Canvas canvas;
  canvas.tokens = randomTokens(noise, length);
  for (int64_t position = 0; position < length; position += 1 + noise.below(2))
    canvas.masked.push_back(static_cast<int32_t>(position));
  canvas.eligible.assign(canvas.masked.size(), mayCommit);
  canvas.scores.resize(canvas.masked.size());
  if (guided) canvas.unconditional = randomTokens(noise, length);
  canvas.sampling.guidance = guided ? 1.5f : 0;
  canvas.shift = shift;
  return canvas;
}

/** Guided canvases between others, greedy, filtered and drawn. */
std::vector<Canvas> mixedCanvases(Noise& noise) {
  std::vector<Canvas> canvases;
  for (const int64_t length : {9, 33, 2, 70, 5})
    canvases.push_back(makeCanvas(noise, length, length % 2 == 1));
  canvases[1].sampling.topK = 7;
  canvases[1].ids = {1, 2, 50};
  canvases[3].sampling.topP = 0.8f;
  canvases[4].sampling.greedy = false;
  canvases[4].sampling.seed = 5;
  canvases[0].shift = 0;
  canvases[4].shift = 1;
  return canvases;
}

void step(Model& model, std::vector<Canvas>& canvases, std::optional<AttentionMask> mask = {}) {
  std::vector<StepCanvas> views;
  for (Canvas& canvas : canvases) views.push_back(canvas.view());
  model.step(views, AbortFlag(), mask);
}

void expectSame(const Canvas& actual, const Canvas& expected, const std::string& what) {
  for (size_t i = 0; i < expected.scores.size(); ++i) {
    const Score &a = actual.scores[i], &b = expected.scores[i];
    expect(a.token == b.token && a.confidence == b.confidence && a.entropy == b.entropy &&
               a.margin == b.margin && a.committed == b.committed,
           text(what, ": score ", i, ": token ", a.token, ", confidence ", a.confidence, "; expected ",
                b.token, ", ", b.confidence));
  }
}

Matrix logitsOf(Model& model, std::vector<int32_t>& tokens, std::optional<AttentionMask> mask) {
  std::vector<int32_t> rows(tokens.size());
  for (size_t i = 0; i < rows.size(); ++i) rows[i] = static_cast<int32_t>(i);
  Matrix logits(static_cast<int64_t>(tokens.size()), model.architecture().vocabulary);
  ForwardCanvas canvas;
  canvas.tokens = tokens;
  canvas.rows = rows;
  canvas.logits = logits.values;
  canvas.mask = mask;
  model.forward({&canvas, 1}, AbortFlag());
  return logits;
}

/** The scores of a step are those of forward passes, shifted and combined by hand. */
void expectStep(Model& model, Canvas& canvas, std::optional<AttentionMask> mask) {
  const Prediction prediction =
      canvas.shift ? Prediction{*canvas.shift, false} : model.architecture().prediction;
  const Matrix logits = logitsOf(model, canvas.tokens, mask);
  Matrix others = logits;
  if (!canvas.unconditional.empty()) others = logitsOf(model, canvas.unconditional, mask);
  SamplingPlan sampling = canvas.sampling;
  sampling.banned = canvas.ids;
  for (size_t m = 0; m < canvas.masked.size(); ++m) {
    const int32_t position = canvas.masked[m];
    const Score& score = canvas.scores[m];
    if (prediction.row(position) < 0) {
      expectEqual(score.token, canvas.tokens[0], "token of position 0");
      continue;
    }
    std::vector<float> row(static_cast<size_t>(logits.columns));
    for (int64_t id = 0; id < logits.columns; ++id) {
      const float l = logits.at(prediction.row(position), id), u = others.at(prediction.row(position), id);
      row[static_cast<size_t>(id)] = u + (sampling.guidance + 1) * (l - u);
    }
    const auto truth = oracle::score(row, sampling, position);
    const auto token = static_cast<size_t>(score.token);
    expect(score.token == truth.token ||
               truth.keys[static_cast<size_t>(truth.token)] - truth.keys[token] < decisionSlack,
           text("position ", position, ": token ", score.token, ", expected ", truth.token));
    expect(std::abs(score.confidence - truth.confidences[token]) < 2e-5,
           text("confidence ", score.confidence, " of position ", position));
    expect(std::abs(score.entropy - truth.entropy) < 2e-5, text("entropy of position ", position));
  }
}

void matchesForward() {
  forEachFactory([](const BackendFactory& make) {
    for (const bool keepsFirst : {false, true}) {
      TinyModel tiny(84, {true, false, {DType::bf16}, [&](Architecture& a) {
                            a.prediction = {keepsFirst ? 1 : 0, keepsFirst};
                          }});
      const auto model = tiny.load(make(2));
      Noise noise(84);
      for (const auto mask : {std::optional<AttentionMask>(), std::optional(AttentionMask{4})}) {
        auto canvases = mixedCanvases(noise);
        step(*model, canvases, mask);
        for (size_t i = 0; i < canvases.size(); ++i) {
          const Scope scope(
              text("canvas ", i, mask ? ", masked" : "", keepsFirst ? ", keeps the first" : ""));
          expectStep(*model, canvases[i], mask);
        }
      }
    }
  });
}

/** In any batch, repeated, in turn with steps of other kinds. */
void standsAlone() {
  forEachFactory([](const BackendFactory& make) {
    TinyModel tiny(85);
    const auto model = tiny.load(make(2));
    Noise noise(85);
    const auto given = mixedCanvases(noise);
    const std::optional<AttentionMask> masks[] = {AttentionMask{0}, AttentionMask{1}};
    std::vector<Canvas> batches[] = {given, given};
    for (size_t which = 0; which < 2; ++which) {
      step(*model, batches[which], masks[which]);
      for (size_t i = 0; i < given.size(); ++i) {
        std::vector<Canvas> alone{given[i]};
        step(*model, alone, masks[which]);
        expectSame(alone[0], batches[which][i], text("canvas ", i, " alone"));
      }
    }
    // The second time a backend may record a step, from the third time on replay it.
    for (int round = 1; round < 3; ++round)
      for (size_t which = 0; which < 2; ++which) {
        auto again = given;
        step(*model, again, masks[which]);
        for (size_t i = 0; i < given.size(); ++i)
          expectSame(again[i], batches[which][i], text("round ", round, ", canvas ", i));
      }
    const auto &full = batches[0], &causal = batches[1];
    expect(causal[3].scores[1].entropy != full[3].scores[1].entropy, "the mask does not matter");
  });
}

void refusesUnequalLengths() {
  forEachFactory([](const BackendFactory& make) {
    TinyModel tiny(86);
    const auto model = tiny.load(make(1));
    Noise noise(86);
    std::vector<Canvas> canvases{makeCanvas(noise, 9, true)};
    canvases[0].unconditional.pop_back();
    try {
      step(*model, canvases);
      fail("canvases of different lengths are combined");
    } catch (const Error& error) {
      expect(error.code() == ErrorCode::invalidArgument, error.what());
    }
  });
}

void allocatesNothing() {
  if (!allocationsAreCounted()) {
    expect(true, "not counted here");
    return;
  }
  forEachFactory([](const BackendFactory& make) {
    TinyModel tiny(87);
    const auto model = tiny.load(make(3));
    Noise noise(87);
    auto canvases = mixedCanvases(noise);
    model->reserve({400, 8, true, 16, true}, 70, 400);
    std::vector<StepCanvas> views;
    for (Canvas& canvas : canvases) views.push_back(canvas.view());
    const AbortFlag never;
    const int ready = model->backend().device() == "cpu" ? 0 : 2;
    for (int round = 0; round < ready + 2; ++round) {
      const int64_t before = allocationCount();
      model->step(views, never);
      const int64_t allocations = allocationCount() - before;
      if (round >= ready) expectEqual(allocations, int64_t{0}, text("allocations of step ", round));
    }
  });
}

const DeviceTests stepOptionTests{
    {"step options: guidance, shift and mask are those of forward passes", matchesForward},
    {"step options: a canvas has the same bits in any batch, and again", standsAlone},
    {"step options: the unconditional canvas is as long as its canvas", refusesUnequalLengths},
    {"step options: a guided step allocates nothing", allocatesNothing},
};

}  // namespace
}  // namespace rnd1::test
