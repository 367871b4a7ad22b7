// Each allocation of loading a model and of its first steps fails once.
#include <functional>
#include <new>

#include "allocations.h"
#include "backend/registry.h"
#include "core/error.h"
#include "model_support.h"

namespace rnd1::test {
namespace {

/** Far more than there are, so that an endless count is a failure too. */
constexpr int64_t max = 100'000;

/** Runs `body`; true if it failed for lack of memory. */
bool saysOutOfMemory(const std::function<void()>& body, const std::string& what) {
  try {
    body();
    return false;
  } catch (const Error& error) {
    expect(error.code() == ErrorCode::outOfMemory, what + ": " + error.what());
  } catch (const std::bad_alloc&) {
    // native/napi reports it with the same code.
  }
  return true;
}

/** Runs `body` with each of its allocations failing in turn. */
void failEach(const std::string& what, const std::function<void()>& body) {
  if (!allocationsAreCounted()) {
    expect(true, "");
    return;
  }
  body();  // allocates what is kept
  int64_t number = 0, failed = 0;
  for (bool happened = true; happened && number < max; ++number) {
    const std::string which = text(what, ", allocation ", number);
    const int64_t before = liveAllocations();
    {
      const FailingAllocation failing(number);
      if (saysOutOfMemory(body, which)) ++failed;
      happened = failing.happened();
    }
    const int64_t left = liveAllocations() - before;
    if (left != 0) expect(false, text(which, ": ", left, " left behind"));
  }
  expect(number < max, what + ": no end");
  expect(failed > 10, text(what, ": only ", failed, " failures"));
}

struct Way {
  const char* name;
  bool copied;
  std::optional<Quantization> quantize;
};

const Way ways[] = {{"mapped", false, {}}, {"copied", true, {}}, {"q4", true, Quantization{DType::q4, 32}}};

std::unique_ptr<Model> load(TinyModel& tiny, const Manifest& manifest) {
  const AbortFlag never;
  return std::make_unique<Model>(
      tiny.architecture(), makeCpuBackend(DType::bf16, 2), manifest, [](const LoadProgress&) {}, never);
}

std::vector<int32_t> stepOnce(Model& model, bool filters) {
  const std::vector<int32_t> tokens{3, 1, 4, 1, 5}, masked{1, 3};
  const std::vector<uint8_t> eligible{1, 1};
  std::vector<Score> scores(2);
  StepCanvas canvas;
  canvas.tokens = tokens;
  canvas.masked = masked;
  canvas.eligible = eligible;
  canvas.scores = scores;
  if (filters) canvas.sampling.topP = 0.5f;
  const AbortFlag never;
  model.step({&canvas, 1}, never);
  return {scores[0].token, scores[1].token};
}

void loadingSurvives() {
  for (const Way& way : ways) {
    TinyModel tiny(71);
    Manifest manifest = tiny.manifest();
    manifest.copied = way.copied;
    manifest.quantize = way.quantize;
    failEach(text("loading, ", way.name), [&] { load(tiny, manifest); });
  }
}

void stepsSurvive() {
  for (const Way& way : ways) {
    TinyModel tiny(72);
    Manifest manifest = tiny.manifest();
    manifest.copied = way.copied;
    manifest.quantize = way.quantize;
    const auto expected = stepOnce(*load(tiny, manifest), true);
    // A new model each time, because a step allocates only if it is the largest so far.
    failEach(text("first steps, ", way.name), [&] {
      const auto fresh = load(tiny, manifest);
      stepOnce(*fresh, false);
      expectEqual(stepOnce(*fresh, true) == expected, true, "tokens");
    });
    // A model that failed repeatedly still steps correctly.
    const auto model = load(tiny, manifest);
    for (int64_t number = 0; number < 40; ++number) {
      const FailingAllocation failing(number);
      saysOutOfMemory([&] { stepOnce(*model, number % 2 == 0); }, "step");
    }
    expectEqual(stepOnce(*model, true) == expected, true, "tokens after failures");
  }
}

const Tests allocationFailureTests{
    {"allocations: each failure while a model is loaded is an error, and nothing is left", loadingSurvives},
    {"allocations: each failure of first steps is an error, and nothing is left", stepsSurvive},
};

}  // namespace
}  // namespace rnd1::test
