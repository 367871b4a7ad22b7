#include "napi/functions.h"

#include <algorithm>
#include <array>
#include <vector>

#include "backend/registry.h"
#include "core/random.h"
#include "model/prediction.h"
#include "napi/convert.h"
#include "napi/manifest.h"
#include "napi/progress.h"
#include "napi/promise.h"
#include "napi/session.h"

namespace rnd1::napi {
namespace {

Prediction predictionOf(const OwnedStep& step) {
  return step.shift ? Prediction{*step.shift, false} : previousRow;
}

/** Scores the masked positions of one canvas from its logits (tokens, vocabulary), then unmasks. */
bool scoreAndUnmask(OwnedStep& step, std::vector<float>& rows, int64_t vocabulary) {
  StepCanvas canvas = step.view();
  std::vector<ScoreRow> scoreRows;
  for (const int32_t position : canvas.masked)
    scoreRows.push_back(predictionOf(step).scoreRow(0, position, canvas.tokens[position]));
  const auto backend = makeCpuBackend(DType::f32, 1);
  Limits limits;
  limits.scoredRows = static_cast<int64_t>(scoreRows.size());
  limits.vocabulary = vocabulary;
  limits.filters = !canvas.sampling.greedyUnfiltered(vocabulary);
  backend->reserve(limits);
  backend->scoreLogits({rows.data(), limits.scoredRows, vocabulary}, scoreRows, {&canvas.sampling, 1},
                       canvas.scores);
  backend->synchronize();
  const bool finite = std::all_of(canvas.scores.begin(), canvas.scores.end(),
                                  [](const Score& score) { return score.finite; });
  const UnmaskCanvas selected{0, static_cast<int32_t>(scoreRows.size()), canvas.unmask};
  if (finite) backend->unmask({&selected, 1}, scoreRows, canvas.eligible, canvas.scores);
  return finite;
}

}  // namespace

Napi::Value scoreAndUnmask(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  return guarded(env, [&]() -> Napi::Value {
    if (!info[0].IsTypedArray() || info[0].As<Napi::TypedArray>().TypedArrayType() != napi_float32_array)
      throw wrongType(env, "logits", "a Float32Array");
    const int64_t vocabulary = asInteger(info[1], "vocabulary", 1, int64_t{1} << 24);
    auto step = std::make_shared<OwnedStep>(readStep(info[2], vocabulary, int64_t{1} << 31));
    if (!step->unconditional.empty())
      throw Napi::TypeError::New(env, "guidance must be null: the logits are given");
    // Read last: reading the canvas can run code that detaches the array's memory.
    const auto logits = info[0].As<Napi::Float32Array>();
    const size_t expected = step->tokens.size() * static_cast<size_t>(vocabulary);
    if (logits.ElementLength() != expected)
      throw Napi::RangeError::New(env, "logits must have tokens · vocabulary = " + std::to_string(expected) +
                                           " values, not " + std::to_string(logits.ElementLength()));
    // Copied: the caller's array may change or be detached meanwhile.
    auto rows = std::make_shared<std::vector<float>>();
    rows->reserve(step->masked.size() * static_cast<size_t>(vocabulary));
    for (const int32_t position : step->masked) {
      const float* row = logits.Data() + std::max(predictionOf(*step).row(position), 0) * vocabulary;
      rows->insert(rows->end(), row, row + vocabulary);
    }
    auto finite = std::make_shared<bool>(false);
    return promise(
        env, *Environment::of(env).scoringRunner(), nullptr,
        [step, rows, finite, vocabulary](const AbortFlag&) {
          *finite = scoreAndUnmask(*step, *rows, vocabulary);
        },
        [step, finite](Napi::Env env) -> Napi::Value { return writeStep(env, *step, *finite); });
  });
}

Napi::Value fillShard(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  return guarded(env, [&]() -> Napi::Value {
    const Napi::Object description = asObject(info[0], "description");
    auto shard = std::make_shared<Shard>(readShard(description));
    const auto threads = static_cast<int>(readInteger(description, "threads", 1, 1024));
    const auto report = progressReporter(info[1]);
    const auto abort = JsAbortFlag::of(info[2]);
    // A thread of its own: it takes minutes, and scores must not wait for it.
    auto runner = std::make_shared<Runner>();
    Environment::of(env).add(runner);
    return promise(
        env, *runner, abort,
        [shard, threads, report](const AbortFlag& flag) { rnd1::fillShard(*shard, threads, report, flag); },
        [runner](Napi::Env env) -> Napi::Value { return env.Undefined(); });
  });
}

Napi::Value measurePeaks(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  return guarded(env, [&]() -> Napi::Value {
    const Napi::Object description = asObject(info[0], "description");
    const std::string device = readString(description, "device");
    const DType dtype = readDType(description, "dtype");
    const auto threads = static_cast<int>(readInteger(description, "threads", 1, 1024));
    const double effort = readNumber(description, "effort");
    if (!(effort > 0 && effort <= 1))
      throw Napi::RangeError::New(env, "effort must be above 0 and at most 1");
    auto peaks = std::make_shared<Peaks>();
    // A thread of its own: scores must not wait for it.
    auto runner = std::make_shared<Runner>();
    Environment::of(env).add(runner);
    return promise(
        env, *runner, nullptr,
        [device, dtype, threads, effort, peaks](const AbortFlag&) {
          *peaks = makeBackend(device, dtype, threads)->measurePeaks(effort);
        },
        [runner, peaks](Napi::Env env) -> Napi::Value {
          const auto result = Napi::Object::New(env);
          defineOwn(result, "copyBytesPerSecond", peaks->copyBytesPerSecond);
          defineOwn(result, "matrixOperationsPerSecond", peaks->matrixOperationsPerSecond);
          defineOwn(result, "integerOperationsPerSecond", peaks->integerOperationsPerSecond);
          return result;
        });
  });
}

static Napi::Array stringArray(Napi::Env env, const std::vector<std::string>& strings) {
  const auto array = Napi::Array::New(env, strings.size());
  for (uint32_t i = 0; i < strings.size(); ++i) defineOwn(array, i, Napi::String::New(env, strings[i]));
  return array;
}

Napi::Value system(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  return guarded(env, [&]() -> Napi::Value {
    const auto result = Napi::Object::New(env);
    defineOwn(result, "instructionSets", stringArray(env, cpuInstructionSets()));
    defineOwn(result, "compiledInstructionSets", stringArray(env, compiledInstructionSets()));
    const CudaStatus cuda = cudaStatus();
    const auto gpus = Napi::Array::New(env, cuda.gpus.size());
    for (uint32_t i = 0; i < cuda.gpus.size(); ++i) {
      const auto gpu = Napi::Object::New(env);
      defineOwn(gpu, "device", cuda.gpus[i].device.c_str());
      defineOwn(gpu, "name", cuda.gpus[i].name.c_str());
      defineOwn(gpu, "bytes", static_cast<double>(cuda.gpus[i].bytes));
      defineOwn(gpus, i, gpu);
    }
    defineOwn(result, "gpus", gpus);
    defineOwn(result, "cudaUnavailable",
              cuda.gpus.empty() ? Napi::String::New(env, cuda.unavailable) : env.Null());
    return result;
  });
}

Napi::Value philox(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  return guarded(env, [&]() -> Napi::Value {
    if (!info[0].IsBigInt()) throw wrongType(env, "seed", "a bigint");
    if (!info[1].IsTypedArray() || info[1].As<Napi::TypedArray>().TypedArrayType() != napi_uint32_array ||
        info[1].As<Napi::TypedArray>().ElementLength() != 4)
      throw wrongType(env, "counter", "a Uint32Array of 4");
    const int64_t count = asInteger(info[2], "count", 0, int64_t{1} << 24);
    bool lossless;
    const uint64_t seed = info[0].As<Napi::BigInt>().Uint64Value(&lossless);
    const auto counter = info[1].As<Napi::Uint32Array>();
    std::array<uint32_t, 4> start;
    std::copy_n(counter.Data(), start.size(), start.begin());
    ArrayInTheMaking<uint32_t> words(env, "words", count);
    const std::span<uint32_t> out = words.values();
    for (int64_t i = 0; i < count; ++i)
      out[static_cast<size_t>(i)] =
          rnd1::philox(seed, {start[0] + static_cast<uint32_t>(i >> 2), start[1], start[2], start[3]})[i & 3];
    return words.handOver(env);
  });
}

}  // namespace rnd1::napi
