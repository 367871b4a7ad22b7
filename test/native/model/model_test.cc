#include <algorithm>
#include <numeric>

#include "backend/registry.h"
#include "core/error.h"
#include "model_support.h"

namespace rnd1::test {
namespace {

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

/** Passes over packed canvases of some lengths, each of which must agree with float64; `also` checks more. */
template <typename Also>
void expectModel(TinyModel& tiny, const BackendFactory& make, uint64_t seed, Also&& also) {
  const auto model = tiny.load(make(2));
  const DType computeDtype = model->backend().dtype();
  Noise noise(seed);
  std::vector<std::vector<int32_t>> canvases;
  for (const int64_t length : {1, 7, 33}) canvases.push_back(randomTokens(noise, length));
  const auto passes = forward(*model, canvases);
  for (size_t i = 0; i < canvases.size(); ++i) {
    const Scope canvas(text("canvas of ", canvases[i].size()));
    expectPass(passes[i], oracle::model(tiny, computeDtype, canvases[i], passes[i].expertIds),
               modelTolerance(computeDtype));
    also(*model, canvases[i], passes[i]);
  }
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
      expectModel(tiny, make, seed, [&](Model&, const std::vector<int32_t>&, const Pass& pass) {
        expectRouted(pass, tiny.architecture().expertsPerToken());
      });
    }
  });
}

struct Variant {
  const char* name;
  std::function<void(Architecture&)> change;
};

/** Parts of the graph that other families have: one by one, and as they occur together. */
const Variant variants[] = {
    {"no head norms, bias",
     [](Architecture& a) {
       for (LayerShape& layer : a.layers) layer.attention.headNorms = !(layer.attention.bias = true);
     }},
    {"dense, causal, tied",
     [](Architecture& a) {
       for (LayerShape& layer : a.layers) {
         layer.mlp = {.width = 53};
         layer.attention.mask.block = 1;
       }
       a.tiedHead = true;
     }},
    {"first layer dense, then sigmoid routers with groups, a shared expert, blocks of 5, half of a head "
     "rotated",
     [](Architecture& a) {
       for (LayerShape& layer : a.layers) {
         layer.attention.rotaryWidth = 10;
         layer.attention.mask.block = 5;
         layer.mlp = {.width = 27,
                      .experts = 12,
                      .expertsPerToken = 3,
                      .sharedWidth = 41,
                      .selectionBias = true,
                      .normalise = true,
                      .score = RouterScore::sigmoid,
                      .groups = {4, 2},
                      .scale = 2.5f};
       }
       a.layers[0].mlp = {.width = 61};
     }},
    {"layers of different heads and thetas",
     [](Architecture& a) {
       a.layers[1].attention.heads = {4, 4, 12};
       a.layers[1].attention.rotaryWidth = 12;
       a.layers[2].attention.ropeTheta = 5e5;
     }},
};

void variantsMatch() {
  forEachFactory([&](const BackendFactory& make) {
    uint64_t seed = 78;
    for (const auto& [name, change] : variants) {
      const Scope scope(name);
      TinyModel tiny(seed++, {true, false, {DType::bf16, DType::f32}, change});
      expectModel(tiny, make, seed, [](Model& model, const std::vector<int32_t>& canvas, const Pass& pass) {
        expectSameBits(forward(model, {canvas})[0].logits.values, pass.logits.values, "alone");
      });
    }
  });
}

/** A pass can replace the mask of all layers. */
void givenMask() {
  const auto blockOf = [](int32_t block) {
    return [block](Architecture& a) {
      for (LayerShape& layer : a.layers) layer.attention.mask.block = block;
    };
  };
  TinyModel full(83, {true, false, {DType::bf16}, blockOf(0)});
  TinyModel blocks(83, {true, false, {DType::bf16}, blockOf(4)});
  const auto model = full.load(makeCpuBackend(DType::f32, 2));
  Noise noise(83);
  const auto tokens = randomTokens(noise, 11);
  std::vector<int32_t> rows(11);
  std::iota(rows.begin(), rows.end(), 0);
  Matrix logits(11, full.architecture().vocabulary);
  ForwardCanvas request;
  request.tokens = tokens;
  request.rows = rows;
  request.logits = logits.values;
  request.mask = AttentionMask{4};
  const AbortFlag never;
  model->forward({&request, 1}, never);
  const auto expected = forward(*blocks.load(makeCpuBackend(DType::f32, 2)), {tokens});
  expectSameBits(logits.values, expected[0].logits.values, "blocks of 4");
  ForwardCanvas two[2] = {request, request};
  two[1].mask.reset();
  expectThrows<Error>([&] { model->forward(two, never); }, "a mask for one canvas of two");
}

void forcedExperts() {
  forEachFactory([](const BackendFactory& make) {
    TinyModel tiny(75);
    const auto model = tiny.load(make(2));
    const Architecture& architecture = tiny.architecture();
    Noise noise(75);
    const std::vector<std::vector<int32_t>> canvases{randomTokens(noise, 9), randomTokens(noise, 4)};
    std::vector<std::vector<int32_t>> forced;
    for (const auto& canvas : canvases) {
      forced.emplace_back();
      for (size_t i = 0; i < canvas.size() * architecture.layers.size(); ++i) {
        const auto first = static_cast<int32_t>(noise.below(architecture.experts()));
        for (const int32_t step : {0, 4, 2})
          forced.back().push_back((first + step) % static_cast<int32_t>(architecture.experts()));
      }
    }
    const auto passes = forward(*model, canvases, forced);
    for (size_t i = 0; i < canvases.size(); ++i) {
      expect(passes[i].expertIds == forced[i], "the ids are not the forced ones");
      expectPass(passes[i], oracle::model(tiny, model->backend().dtype(), canvases[i], forced[i]),
                 modelTolerance(model->backend().dtype()));
    }
    ForwardCanvas requests[2];
    requests[0].tokens = canvases[0];
    requests[0].forcedExperts = forced[0];
    requests[1].tokens = canvases[1];
    const AbortFlag never;
    expectThrows<Error>([&] { model->forward(requests, never); }, "forced experts for one canvas of two");
    // The failure has no lasting effect.
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
  const auto stages = static_cast<int64_t>(tiny.architecture().layers.size()) + 2;
  Matrix logits(200, tiny.architecture().vocabulary);
  Matrix hidden(200 * stages, tiny.architecture().hidden);
  ForwardCanvas request;
  request.tokens = tokens;
  request.rows = rows;
  request.logits = logits.values;
  request.hidden = hidden.values;
  const AbortFlag never;
  model->forward({&request, 1}, never);
  const std::vector<int64_t> selected(rows.begin(), rows.end());
  expectSameBits(logits.values, selectRows(whole.logits, selected).values, "logits");
  for (int64_t stage = 0; stage < stages; ++stage)
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

const DeviceTests modelTests{
    {"model: packed canvases against float64, all of it", forwardMatches},
    {"model: the parts of other families against float64", variantsMatch},
    {"model: the mask of one pass", givenMask},
    {"model: forced experts", forcedExperts},
    {"model: any rows in any order", chosenRows},
    {"model: a canvas has the same bits in any batch, with any number of threads", canvasesStandAlone},
};

}  // namespace
}  // namespace rnd1::test
