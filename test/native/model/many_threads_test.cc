// Steps with more threads than cores, simulated and real: the same bits.
#include "backend/registry.h"
#include "core/simulated_threads.h"
#include "model_support.h"

namespace rnd1::test {
namespace {

/** Wide enough that every op is shared. */
TinyModel wideModel() {
  return TinyModel(91, {true, false, {DType::bf16}, [](Architecture& architecture) {
                          architecture.layers.resize(2);
                          architecture.hidden = 192;
                          for (LayerShape& layer : architecture.layers) layer.mlp.width = 160;
                        }});
}

struct Results {
  std::vector<Pass> passes;
  std::vector<Score> scores;
};

Results resultsOf(TinyModel& tiny, const std::optional<Quantization>& quantize,
                  std::unique_ptr<Backend> backend) {
  const AbortFlag never;
  Manifest manifest = tiny.manifest();
  manifest.quantize = quantize;
  Model model(
      tiny.architecture(), std::move(backend), manifest, [](const LoadProgress&) {}, never);
  Noise noise(91);
  const std::vector<std::vector<int32_t>> canvases{randomTokens(noise, 70), randomTokens(noise, 131)};
  Results results;
  results.passes = forward(model, canvases);
  std::vector<int32_t> masked;
  for (int32_t position = 1; position < 131; position += 2) masked.push_back(position);
  const std::vector<uint8_t> eligible(masked.size(), 1);
  results.scores.resize(masked.size());
  StepCanvas canvas;
  canvas.tokens = canvases[1];
  canvas.masked = masked;
  canvas.eligible = eligible;
  canvas.scores = results.scores;
  canvas.unmask.value = 20;
  model.step({&canvas, 1}, never);
  return results;
}

void expectSame(const Results& actual, const Results& expected) {
  for (size_t canvas = 0; canvas < expected.passes.size(); ++canvas) {
    const Pass &a = actual.passes[canvas], &b = expected.passes[canvas];
    for (size_t layer = 0; layer < b.hidden.size(); ++layer)
      expectSameBits(a.hidden[layer].values, b.hidden[layer].values,
                     text("canvas ", canvas, ", hidden ", layer));
    expectSameBits(a.logits.values, b.logits.values, text("canvas ", canvas, ", logits"));
  }
  for (size_t i = 0; i < expected.scores.size(); ++i) {
    const Score &a = actual.scores[i], &b = expected.scores[i];
    expect(a.token == b.token && a.confidence == b.confidence && a.entropy == b.entropy &&
               a.committed == b.committed,
           text("score ", i));
  }
}

void sameBits() {
  TinyModel tiny = wideModel();
  for (const auto& quantize :
       {std::optional<Quantization>{}, std::optional<Quantization>{{DType::q8, 64}},
        std::optional<Quantization>{{DType::q5, 64}}, std::optional<Quantization>{{DType::q4, 32}}})
    for (const std::string& instructionSet : cpuInstructionSets()) {
      const Scope scope(text(instructionSet, " ", quantize ? dtypeName(quantize->dtype) : "bf16"));
      const Results expected = resultsOf(tiny, quantize, makeCpuBackend(DType::bf16, 1, instructionSet));
      for (const int threads : {16, 32, 64}) {
        const Scope inner(text(threads, " threads"));
        SimulatedThreads simulation;
        expectSame(
            resultsOf(tiny, quantize, makeCpuBackend(DType::bf16, threads, instructionSet, &simulation)),
            expected);
        expect(simulation.jobs() > 40, text("only ", simulation.jobs(), " jobs are shared"));
      }
      const Scope inner("64 real threads");
      expectSame(resultsOf(tiny, quantize, makeCpuBackend(DType::bf16, 64, instructionSet)), expected);
    }
}

const Tests manyThreadsTests{{"model: 16, 32 and 64 threads give the bits of one", sameBits}};

}  // namespace
}  // namespace rnd1::test
