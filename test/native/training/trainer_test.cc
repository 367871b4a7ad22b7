// What a trainer reports beside its losses, and what it leaves alone.
#include "training/trainer.h"

#include <algorithm>
#include <new>

#include "allocations.h"
#include "backend/registry.h"
#include "core/error.h"
#include "trainer_support.h"

namespace rnd1::test {
namespace {

/** The arrays of a report. */
struct Report {
  Report(const Trainer& trainer, const std::vector<TrainingBatch>& batches, bool norms = false) {
    size_t scored = 0;
    for (const TrainingBatch& batch : batches) scored += batch.rows.size();
    const Architecture& architecture = trainer.architecture();
    crossEntropies.resize(scored);
    expertRows.resize(static_cast<size_t>(architecture.expertLayers() * architecture.experts()));
    if (norms) squaredNorms.resize((batches.size() + 1) * parametersOf(trainer).size());
  }
  static const std::vector<Parameter>& parametersOf(const Trainer& trainer) {
    return const_cast<Trainer&>(trainer).parameters().list();
  }
  TrainingReport view() { return {crossEntropies, expertRows, squaredNorms}; }

  std::vector<double> crossEntropies, expertRows, squaredNorms;
};

void setGradients(Trainer& trainer, std::span<const float> values) {
  for (const Parameter& parameter : trainer.parameters().list()) {
    if (parameter.frozen()) continue;
    const auto count = static_cast<size_t>(parameter.count);
    trainer.write(parameter.role, ParameterArray::gradient, values.first(count));
    values = values.subspan(count);
  }
}

void expectSame(const TrainingLosses& actual, const TrainingLosses& expected, const char* what) {
  expect(actual.main == expected.main && actual.aux == expected.aux && actual.z == expected.z &&
             actual.routers == expected.routers,
         text(what, ": losses ", actual.total(), ", expected ", expected.total()));
}

void lossesLeaveGradients() {
  forEachTrainingFactory([](const BackendFactory& make) {
    for (const TinyOptions& options : shapes())
      for (const Recompute recompute : {Recompute::none, Recompute::attention, Recompute::layer}) {
        TinyModel tiny(91, options);
        Noise noise(91);
        const std::vector<TrainingBatch> first{batchOf(noise, {9, 30}, 0.1)};
        const std::vector<TrainingBatch> others{batchOf(noise, {17, 5}, 0.1), batchOf(noise, {40}, 0.1)};
        const auto trainer = open(tiny, make(2), {}, recompute);
        trainer->lossAndGradients(first, {}, never);
        const std::vector<float> gradients = gradientsOf(*trainer), values = valuesOf(*trainer);
        Report without(*trainer, others), with(*trainer, others);
        const TrainingLosses losses = trainer->losses(others, without.view(), never);
        expect(gradientsOf(*trainer) == gradients, "losses alone leave the gradients");
        AbortFlag set;
        set.abort();
        try {
          trainer->losses(others, {}, set);
          fail("an aborted call returns");
        } catch (const Error& error) {
          expect(error.code() == ErrorCode::aborted, error.what());
        }
        expect(gradientsOf(*trainer) == gradients, "so do aborted ones");
        expect(valuesOf(*trainer) == values, "and the parameters");
        expectSame(losses, trainer->lossAndGradients(others, with.view(), never), "without gradients");
        expect(without.crossEntropies == with.crossEntropies, "cross entropies");
        expect(without.expertRows == with.expertRows, "rows of experts");
      }
  });
}

/** Against the forward pass of inference, one canvas at a time. */
void reportsRows() {
  forEachTrainingFactory([](const BackendFactory& make) {
    for (const TinyOptions& options : shapes()) {
      TinyModel tiny(92, options);
      const Architecture& architecture = tiny.architecture();
      Noise noise(92);
      const std::vector<TrainingBatch> batches{batchOf(noise, {21, 8}), batchOf(noise, {33})};
      const auto trainer = open(tiny, make(2));
      Report report(*trainer, batches);
      const TrainingLosses losses = trainer->lossAndGradients(batches, report.view(), never);
      const auto model = tiny.load(make(1));
      std::vector<double> expertRows(report.expertRows.size());
      const auto k = static_cast<size_t>(architecture.expertsPerToken());
      size_t scored = 0;
      double main = 0;
      for (const TrainingBatch& batch : batches) {
        size_t next = 0;
        for (size_t i = 0; i + 1 < batch.offsets.size(); ++i) {
          const int32_t start = batch.offsets[i], end = batch.offsets[i + 1];
          const Pass pass =
              forward(*model, {{batch.tokens.begin() + start, batch.tokens.begin() + end}}).front();
          const size_t perLayer = static_cast<size_t>(end - start) * k;
          for (size_t at = 0; at < pass.expertIds.size(); ++at)
            ++expertRows[at / perLayer * static_cast<size_t>(architecture.experts()) +
                         static_cast<size_t>(pass.expertIds[at])];
          for (; next < batch.rows.size() && batch.rows[next] < end; ++next, ++scored) {
            const float* logits = pass.logits.row(batch.rows[next] - start);
            double sum = 0;
            for (int64_t id = 0; id < architecture.vocabulary; ++id)
              sum += std::exp(static_cast<double>(logits[id]));
            const double expected = std::log(sum) - static_cast<double>(logits[batch.targets[next]]);
            const double actual = report.crossEntropies[scored];
            expect(std::abs(actual - expected) < 1e-4 * std::max(1.0, expected),
                   text("cross entropy ", scored, " is ", actual, ", expected ", expected));
            main += static_cast<double>(batch.weights[next]) * actual;
          }
        }
      }
      expectEqual(scored, report.crossEntropies.size(), "scored rows");
      expect(losses.main == main, text("main loss ", losses.main, ", expected ", main));
      expect(report.expertRows == expertRows, "rows of experts");
    }
  });
}

void reportsNorms() {
  forEachTrainingFactory([](const BackendFactory& make) {
    TinyModel tiny(93);
    Noise noise(93);
    const std::vector<TrainingBatch> batches{batchOf(noise, {21, 8}), batchOf(noise, {270}),
                                             batchOf(noise, {33})};
    const std::unordered_set<std::string> frozen{"embedding", "layers.1.mlp.router"};
    const auto trainer = open(tiny, make(2), frozen);
    const std::vector<Parameter>& list = trainer->parameters().list();
    std::vector<double> norms;
    std::vector<float> sum;
    const auto addNorms = [&] {
      for (const Parameter& parameter : list)
        norms.push_back(parameter.frozen()
                            ? 0
                            : trainer->backend().training()->squaredNorm(
                                  trainer->parameters().array(parameter, ParameterArray::gradient)));
    };
    // The losses of routers, which count by rows, are off: each batch has its own gradient.
    for (const TrainingBatch& batch : batches) {
      trainer->lossAndGradients({&batch, 1}, {}, never);
      const std::vector<float> gradients = gradientsOf(*trainer);
      sum.resize(gradients.size());
      for (size_t i = 0; i < sum.size(); ++i) sum[i] += gradients[i];
      addNorms();
    }
    const OptimizerStep step = stepOf(*trainer, 1e-3);
    std::vector<std::vector<float>> values;
    for (const int threads : {2, 1, 3}) {
      const auto other = open(tiny, make(threads), frozen);
      Report report(*other, batches, true);
      const StepOutcome outcome = other->step(batches, step, report.view(), never);
      expect(gradientsOf(*other) == sum, "the batches' gradients are added up one after another");
      if (values.empty()) {
        setGradients(*trainer, sum);
        addNorms();
      }
      expect(report.squaredNorms == norms, text("squared norms with ", threads, " threads"));
      double squares = 0;
      for (size_t i = norms.size() - list.size(); i < norms.size(); ++i) squares += norms[i];
      expectEqual(outcome.gradientNorm, std::sqrt(squares), "norm of all gradients");
      expect(outcome.applied && outcome.clipScale < 1, "the step is applied, and clipped");
      values.push_back(valuesOf(*other));
      expect(values.back() == values.front(), text("parameters with ", threads, " threads"));
    }
  });
}

/** One batch alone: norms cost memory, and change nothing else. */
void normsChangeNothing() {
  forEachTrainingFactory([](const BackendFactory& make) {
    TinyModel tiny(94);
    Noise noise(94);
    const std::vector<TrainingBatch> batches{batchOf(noise, {50, 60}, 0.1)};
    const auto with = open(tiny, make(2)), without = open(tiny, make(2));
    const OptimizerStep step = stepOf(*with, 1e-2);
    for (int round = 0; round < 3; ++round) {
      Report report(*with, batches, true);
      const StepOutcome expected = without->step(batches, step, {}, never);
      const StepOutcome actual = with->step(batches, step, report.view(), never);
      expectSame(actual.losses, expected.losses, "with norms");
      expectEqual(actual.gradientNorm, expected.gradientNorm, "norm");
      expect(valuesOf(*with) == valuesOf(*without), text("parameters after step ", round));
    }
  });
}

void timesParts() {
  forEachTrainingFactory([](const BackendFactory& make) {
    TinyModel tiny(95);
    Noise noise(95);
    std::vector<TrainingBatch> batches{batchOf(noise, {40})};
    const auto trainer = open(tiny, make(1));
    for (const bool finite : {true, false}) {
      std::vector<float> scale(static_cast<size_t>(tiny.architecture().hidden), 1);
      scale[0] = 3e38f;
      if (!finite) trainer->write("norm", ParameterArray::value, scale);
      const StepOutcome outcome = trainer->step(batches, stepOf(*trainer, 1e-3), {}, never);
      expectEqual(outcome.applied, finite, "applied");
      expect(
          outcome.times.forward > 0 && outcome.times.backward > 0 && outcome.times.optimizer > 0,
          text("times ", outcome.times.forward, ", ", outcome.times.backward, ", ", outcome.times.optimizer));
    }
  });
}

void allocatesNothing() {
  if (!allocationsAreCounted()) {
    expect(true, "not counted here");
    return;
  }
  forEachTrainingFactory([](const BackendFactory& make) {
    TinyModel tiny(96);
    Noise noise(96);
    const std::vector<TrainingBatch> batches{batchOf(noise, {21, 8}, 0.1), batchOf(noise, {70}, 0.1)};
    const auto trainer = open(tiny, make(3));
    const OptimizerStep step = stepOf(*trainer, 1e-3);
    Report report(*trainer, batches, true);
    const TrainingReport view = report.view();
    for (int round = 0; round < 4; ++round) {
      const int64_t before = allocationCount();
      trainer->step(batches, step, view, never);
      trainer->losses(batches, {view.crossEntropies, view.expertRows, {}}, never);
      const int64_t allocations = allocationCount() - before;
      if (round > 0) expectEqual(allocations, int64_t{0}, text("allocations of step ", round));
    }
  });
}

/** Each allocation of a first step fails once: nothing has changed, and the next step is as if it had not
 * been. */
void failsForLackOfMemory() {
  if (!allocationsAreCounted()) {
    expect(true, "not counted here");
    return;
  }
  TinyModel tiny(97);
  Noise noise(97);
  const std::vector<TrainingBatch> batches{batchOf(noise, {21, 8}, 0.1), batchOf(noise, {70}, 0.1)};
  const auto opened = [&] { return open(tiny, makeBackend("cpu", DType::f32, 2)); };
  const auto reference = opened();
  const std::vector<float> before = valuesOf(*reference);
  const OptimizerStep step = stepOf(*reference, 1e-3);
  Report report(*reference, batches, true);
  const TrainingLosses losses = reference->step(batches, step, report.view(), never).losses;
  const std::vector<float> after = valuesOf(*reference);
  int64_t failures = 0;
  for (bool happened = true; happened; ++failures) {
    const auto trainer = opened();
    bool thrown = false;
    {
      const FailingAllocation failing(failures);
      try {
        trainer->step(batches, step, report.view(), never);
      } catch (const Error& error) {
        thrown = expect(error.code() == ErrorCode::outOfMemory, error.what());
      } catch (const std::bad_alloc&) {
        thrown = true;
      }
      happened = failing.happened();
    }
    expectEqual(thrown, happened, text("allocation ", failures, " fails the step"));
    if (!thrown) continue;
    expect(valuesOf(*trainer) == before, text("allocation ", failures, " leaves the parameters"));
    expectSame(trainer->step(batches, step, report.view(), never).losses, losses, "the step after it");
    expect(valuesOf(*trainer) == after, text("parameters after failure ", failures));
  }
  expect(failures > 20, text("only ", failures, " failures"));
}

const DeviceTests trainerTests{
    {"trainer: losses without gradients are the same, and leave those", lossesLeaveGradients},
    {"trainer: cross entropies and rows of experts are those of inference", reportsRows},
    {"trainer: norms of each batch's gradient, with any number of threads", reportsNorms},
    {"trainer: norms of one batch change no bits", normsChangeNothing},
    {"trainer: times of all parts, of skipped steps, too", timesParts},
    {"trainer: a step allocates nothing", allocatesNothing},
    {"trainer: a step that fails for lack of memory changes nothing", failsForLackOfMemory},
};

}  // namespace
}  // namespace rnd1::test
