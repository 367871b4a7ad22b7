#include "napi/trainer.h"

#include <algorithm>
#include <unordered_set>
#include <utility>

#include "backend/registry.h"
#include "napi/architecture.h"
#include "napi/convert.h"
#include "napi/manifest.h"
#include "napi/progress.h"
#include "napi/promise.h"
#include "napi/session.h"
#include "napi/tags.h"
#include "napi/training_batch.h"

namespace rnd1::napi {
namespace {

constexpr napi_type_tag trainerTag{0x71c2a6d05be94f38, 0xa3f60b9e4d1752c8};

Recompute readRecompute(const Napi::Object& description) {
  const std::string recompute = readString(description, "recompute");
  if (recompute == "none") return Recompute::none;
  if (recompute == "attention") return Recompute::attention;
  if (recompute == "layer") return Recompute::layer;
  throw wrongType(description.Env(), "recompute", "'none', 'attention' or 'layer'");
}

std::unordered_set<std::string> readRoles(const Napi::Object& description, const char* name) {
  std::unordered_set<std::string> roles;
  const Napi::Array array = readArray(description.Get(name), name);
  for (uint32_t i = 0; i < array.Length(); ++i) {
    Napi::HandleScope scope(array.Env());
    const Napi::Value role = array.Get(i);
    if (!role.IsString()) throw wrongType(array.Env(), name, "an array of roles");
    roles.insert(role.As<Napi::String>().Utf8Value());
  }
  return roles;
}

std::string asRole(const Napi::Value& value) {
  if (!value.IsString()) throw wrongType(value.Env(), "role", "a string");
  return value.As<Napi::String>().Utf8Value();
}

Error disposedError() { return Error(ErrorCode::disposed, "the trainer was disposed"); }

}  // namespace

Trainer& TrainerCore::usable() const {
  if (!trainer) throw disposedError();
  return *trainer;
}

Napi::Function JsTrainer::define(Napi::Env env) {
  const auto constructor =
      DefineClass(env, "Trainer",
                  {StaticMethod<&JsTrainer::open>("open"),
                   InstanceMethod<&JsTrainer::lossAndGradients>("lossAndGradients"),
                   InstanceMethod<&JsTrainer::losses>("losses"), InstanceMethod<&JsTrainer::step>("step"),
                   InstanceMethod<&JsTrainer::read>("read"), InstanceMethod<&JsTrainer::write>("write"),
                   InstanceMethod<&JsTrainer::dispose>("dispose")});
  defineAccessor<&JsTrainer::info>(constructor, "info");
  return constructor;
}

JsTrainer::JsTrainer(const Napi::CallbackInfo& info) : ObjectWrap(info) {
  core_ = std::exchange(Environment::of(info.Env()).openedTrainer, nullptr);
  if (!core_) throw Napi::TypeError::New(info.Env(), "Trainer has no public constructor: use Trainer.open");
  info.This().As<Napi::Object>().TypeTag(&trainerTag);
}

const std::shared_ptr<TrainerCore>& JsTrainer::core() const {
  if (disposed_) throw disposedError();
  return core_;
}

Napi::Value JsTrainer::open(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  return guarded(env, [&]() -> Napi::Value {
    const Napi::Object description = asObject(info[0], "description");
    auto core = std::make_shared<TrainerCore>();
    core->architecture = readArchitecture(asObject(description.Get("architecture"), "architecture"));
    core->device = readString(description, "device");
    core->threads = static_cast<int>(readInteger(description, "threads", 1, 1024));
    const Recompute recompute = readRecompute(description);
    const DType products = readDType(description, "dtype", {DType::f32, DType::bf16});
    const auto frozen = std::make_shared<std::unordered_set<std::string>>(readRoles(description, "frozen"));
    auto manifest = std::make_shared<Manifest>(readManifest(description));
    const auto report = progressReporter(info[1]);
    const auto abort = JsAbortFlag::of(info[2]);
    Environment::of(env).add(core->runner);
    return promise(
        env, *core->runner, abort,
        [core, manifest, frozen, recompute, products, report](const AbortFlag& flag) {
          core->trainer = std::make_unique<Trainer>(core->architecture,
                                                    makeBackend(core->device, DType::f32, core->threads),
                                                    products, *manifest, *frozen, recompute, report, flag);
          core->device = core->trainer->backend().device();
          core->instructionSet = core->trainer->backend().instructionSet();
          core->bytes = core->trainer->parameters().bytes();
          core->parameters = core->trainer->parameters().list();
        },
        [core](Napi::Env env) -> Napi::Value {
          Environment& environment = Environment::of(env);
          environment.openedTrainer = core;
          return environment.trainerClass.New({});
        });
  });
}

Napi::Value JsTrainer::info(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  if (!isTagged(info.This(), trainerTag)) throw wrongType(env, "this", "a Trainer");
  const TrainerCore& core = *Unwrap(info.This().As<Napi::Object>())->core_;
  const auto result = Napi::Object::New(env);
  defineOwn(result, "device", core.device.c_str());
  defineOwn(result, "instructionSet", core.instructionSet.c_str());
  defineOwn(result, "threads", static_cast<double>(core.threads));
  defineOwn(result, "bytes", static_cast<double>(core.bytes));
  defineOwn(result, "parameters", writeParameters(env, core.parameters));
  return result;
}

Napi::Value JsTrainer::pass(const Napi::CallbackInfo& info, Pass pass) {
  const Napi::Env env = info.Env();
  return guarded(env, [&]() -> Napi::Value {
    const auto batches = std::make_shared<std::vector<TrainingBatch>>(readBatches(info[0]));
    const auto losses = std::make_shared<TrainingLosses>();
    const auto core = this->core();
    const auto arrays = std::make_shared<ReportArrays>(env, *batches, core->architecture, 0);
    return promise(
        env, *core->runner, JsAbortFlag::of(info[1]),
        [core, batches, losses, arrays, pass](const AbortFlag& flag) {
          *losses = (core->usable().*pass)(*batches, arrays->report(), flag);
        },
        [losses, arrays](Napi::Env env) -> Napi::Value { return arrays->writeLosses(env, *losses); });
  });
}

Napi::Value JsTrainer::lossAndGradients(const Napi::CallbackInfo& info) {
  return pass(info, &Trainer::lossAndGradients);
}

Napi::Value JsTrainer::losses(const Napi::CallbackInfo& info) { return pass(info, &Trainer::losses); }

Napi::Value JsTrainer::step(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  return guarded(env, [&]() -> Napi::Value {
    const auto batches = std::make_shared<std::vector<TrainingBatch>>(readBatches(info[0]));
    const auto step = std::make_shared<OptimizerStep>(readOptimizerStep(info[1]));
    const auto outcome = std::make_shared<StepOutcome>();
    const auto core = this->core();
    const auto arrays = std::make_shared<ReportArrays>(env, *batches, core->architecture,
                                                       step->batchNorms ? core->parameters.size() : 0);
    return promise(
        env, *core->runner, JsAbortFlag::of(info[2]),
        [core, batches, step, outcome, arrays](const AbortFlag& flag) {
          *outcome = core->usable().step(*batches, *step, arrays->report(), flag);
        },
        [outcome, arrays](Napi::Env env) -> Napi::Value { return arrays->writeOutcome(env, *outcome); });
  });
}

Napi::Value JsTrainer::read(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  return guarded(env, [&]() -> Napi::Value {
    const std::string role = asRole(info[0]);
    const ParameterArray which = readParameterArray(info[1]);
    const auto core = this->core();
    const auto found = std::find_if(core->parameters.begin(), core->parameters.end(),
                                    [&](const Parameter& each) { return each.role == role; });
    const int64_t count = found == core->parameters.end() ? 0 : found->count;
    const auto values = std::make_shared<ArrayInTheMaking<float>>(env, "values", count);
    return promise(
        env, *core->runner, nullptr,
        [core, role, which, values](const AbortFlag&) { core->usable().read(role, which, values->values()); },
        [values](Napi::Env env) -> Napi::Value { return values->handOver(env); });
  });
}

Napi::Value JsTrainer::write(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  return guarded(env, [&]() -> Napi::Value {
    const std::string role = asRole(info[0]);
    const ParameterArray which = readParameterArray(info[1]);
    const auto values = std::make_shared<std::vector<float>>(asFloats(info[2], "values"));
    const auto core = this->core();
    return promise(
        env, *core->runner, nullptr,
        [core, role, which, values](const AbortFlag&) { core->usable().write(role, which, *values); },
        [](Napi::Env env) -> Napi::Value { return env.Undefined(); });
  });
}

Napi::Value JsTrainer::dispose(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  return guarded(env, [&]() -> Napi::Value {
    const auto core = core_;
    if (!disposed_) core->runner->interrupt();
    disposed_ = true;
    return promise<LastJob>(
        env, *core->runner, nullptr, [core](const AbortFlag&) { core->trainer.reset(); },
        [core](Napi::Env env) -> Napi::Value {
          core->runner->stop();
          return env.Undefined();
        });
  });
}

}  // namespace rnd1::napi
