#pragma once

#include <napi.h>

#include <memory>
#include <span>
#include <string>
#include <vector>

#include "napi/runner.h"
#include "training/trainer.h"

namespace rnd1::napi {

/** A model in training and the thread that it runs on; shared by pending work, as SessionCore. */
struct TrainerCore {
  std::unique_ptr<Trainer> trainer;  // after opening, used on the runner's thread only
  // Copies for the JavaScript thread.
  Architecture architecture;
  std::vector<Parameter> parameters;
  std::string device, instructionSet;
  int threads = 0;
  int64_t bytes = 0;
  std::shared_ptr<Runner> runner = std::make_shared<Runner>();  // ends before the trainer does

  /** Throws `disposed`. */
  Trainer& usable() const;
};

/** `Trainer` of types/native.d.ts. */
class JsTrainer final : public Napi::ObjectWrap<JsTrainer> {
 public:
  static Napi::Function define(Napi::Env env);
  explicit JsTrainer(const Napi::CallbackInfo& info);

 private:
  static Napi::Value open(const Napi::CallbackInfo& info);
  static Napi::Value info(const Napi::CallbackInfo& info);
  using Pass = TrainingLosses (Trainer::*)(std::span<const TrainingBatch>, const TrainingReport&,
                                           const AbortFlag&);
  Napi::Value pass(const Napi::CallbackInfo& info, Pass pass);
  Napi::Value lossAndGradients(const Napi::CallbackInfo& info);
  Napi::Value losses(const Napi::CallbackInfo& info);
  Napi::Value step(const Napi::CallbackInfo& info);
  Napi::Value read(const Napi::CallbackInfo& info);
  Napi::Value write(const Napi::CallbackInfo& info);
  Napi::Value dispose(const Napi::CallbackInfo& info);
  const std::shared_ptr<TrainerCore>& core() const;

  std::shared_ptr<TrainerCore> core_;
  bool disposed_ = false;
};

}  // namespace rnd1::napi
