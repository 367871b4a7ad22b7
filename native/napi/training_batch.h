#pragma once

#include <napi.h>

#include <vector>

#include "napi/results.h"
#include "training/trainer.h"

namespace rnd1::napi {

/** Readers and writers of training's objects in types/native.d.ts; they throw as those of convert.h. */

/** A copy of the batches; at least one. */
std::vector<TrainingBatch> readBatches(const Napi::Value& value);

OptimizerStep readOptimizerStep(const Napi::Value& value);

ParameterArray readParameterArray(const Napi::Value& value);

/** A copy of a Float32Array; `name`: the value's name in errors. */
std::vector<float> asFloats(const Napi::Value& value, const char* name);

/** The arrays of a result, which native code fills. */
class ReportArrays {
 public:
  /** `normedParameters`: of how many parameters the gradients' norms are wanted; 0: no norms. */
  ReportArrays(Napi::Env env, const std::vector<TrainingBatch>& batches, const Architecture& architecture,
               size_t normedParameters);

  TrainingReport report() const {
    return {crossEntropies_.values(), expertRows_.values(), squaredNorms_.values()};
  }
  Napi::Object writeLosses(Napi::Env env, const TrainingLosses& losses);
  Napi::Object writeOutcome(Napi::Env env, const StepOutcome& outcome);

 private:
  ArrayInTheMaking<double> crossEntropies_, expertRows_, squaredNorms_;
};

Napi::Array writeParameters(Napi::Env env, const std::vector<Parameter>& parameters);

}  // namespace rnd1::napi
