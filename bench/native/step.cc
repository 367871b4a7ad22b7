// Whole steps of a model: embed, layers, scores, unmasking. Its weights are random. Each has its own memory
// in the backend, but all are read from one region of random numbers, at different offsets: RND1-30B needs a
// file of 0.7 GB instead of 61.
#include <algorithm>
#include <map>
#include <set>

#include "architecture.h"
#include "core/error.h"
#include "core/random.h"
#include "harness.h"
#include "memory.h"
#include "model/graph.h"
#include "random_checkpoint.h"

namespace rnd1::bench {
namespace {

// Canvases used to count the experts hit: more rows hardly hit more, and fetching their routes is slow.
constexpr size_t routedCanvases = 4;
constexpr int tracedSteps = 3;

/** Equal canvases of random tokens, every position to be predicted, some of them to be committed. */
class Canvases {
 public:
  Canvases(const Architecture& architecture, const BatchSize& size)
      : architecture_(architecture), size_(size) {
    const auto positions = static_cast<size_t>(size.length);
    for (int64_t i = 0; i < size.canvases; ++i) {
      std::vector<int32_t>& tokens = tokens_.emplace_back();
      for (int64_t position = 0; position < size.length; ++position)
        tokens.push_back(static_cast<int32_t>(
            philox(3, {static_cast<uint32_t>(i), static_cast<uint32_t>(position), 0, 0})[0] %
            static_cast<uint64_t>(architecture.vocabulary)));
      scores_.emplace_back(positions);
    }
    for (int64_t position = 0; position < size.length; ++position)
      masked_.push_back(static_cast<int32_t>(position));
    eligible_.assign(positions, 1);
    for (size_t i = 0; i < tokens_.size(); ++i) {
      StepCanvas canvas;
      canvas.tokens = tokens_[i];
      canvas.masked = masked_;
      canvas.eligible = eligible_;
      canvas.scores = scores_[i];
      canvas.unmask.value = static_cast<double>(size.length - (size.length + 7) / 8);
      canvases_.push_back(canvas);
    }
  }

  const BatchSize& size() const { return size_; }

  /** Runs one step. Throws Error cuda_error if its scores differ from the first step's. */
  void step(Model& model) {
    model.step(canvases_, never_);
    for (const StepCanvas& canvas : canvases_)
      if (!canvas.finite) throw Error(ErrorCode::cudaError, "a step returned NaN or infinity");
    if (before_.empty()) {
      before_ = scores_;
      return;
    }
    for (size_t i = 0; i < scores_.size(); ++i)
      if (!std::equal(scores_[i].begin(), scores_[i].end(), before_[i].begin(), same))
        throw Error(ErrorCode::cudaError, "two steps over the same canvases returned different scores");
  }

  /** Number of (layer, expert) pairs with rows. */
  int64_t expertsHit(Model& model) {
    const auto layerIds = static_cast<size_t>(size_.length * architecture_.expertsPerToken());
    const size_t count = std::min(tokens_.size(), routedCanvases);
    std::vector<std::vector<int32_t>> ids(count);
    std::vector<ForwardCanvas> canvases(count);
    for (size_t i = 0; i < count; ++i) {
      ids[i].resize(layerIds * architecture_.layers.size());
      canvases[i].tokens = tokens_[i];
      canvases[i].rows = masked_;
      canvases[i].expertIds = ids[i];
    }
    model.forward(canvases, never_);
    std::set<std::pair<size_t, int32_t>> hit;
    for (const auto& canvas : ids)
      for (size_t i = 0; i < canvas.size(); ++i) hit.insert({i / layerIds, canvas[i]});
    return static_cast<int64_t>(hit.size());
  }

 private:
  static bool same(const Score& a, const Score& b) {
    return a.token == b.token && a.committed == b.committed && a.confidence == b.confidence &&
           a.entropy == b.entropy;
  }

  const Architecture& architecture_;
  const BatchSize size_;
  const AbortFlag never_;
  std::vector<std::vector<int32_t>> tokens_;
  std::vector<int32_t> masked_;
  std::vector<uint8_t> eligible_;
  std::vector<std::vector<Score>> scores_;
  std::vector<StepCanvas> canvases_;
  std::vector<std::vector<Score>> before_;  // scores of the first step
};

/** Sums count(rows, columns) over the matrices of a layer without its experts, and of one expert. */
template <typename Count>
int64_t layerSum(const Architecture& architecture, Count count) {
  const auto& [attention, mlp] = architecture.layers.front();
  const int64_t hidden = architecture.hidden;
  return count(attention.heads.columns(), hidden) + count(hidden, attention.heads.queryColumns()) +
         count(mlp.experts, hidden);
}
template <typename Count>
int64_t expertSum(const Architecture& architecture, Count count) {
  const int64_t width = architecture.layers.front().mlp.width;
  return 2 * count(width, architecture.hidden) + count(architecture.hidden, width);
}

Case caseOf(const Options& options, const Architecture& architecture, const BatchSize& size, int64_t hit) {
  const int64_t rows = size.canvases * size.length;
  const auto layers = static_cast<int64_t>(architecture.layers.size());
  Case measured{std::to_string(size.canvases) + " x " + std::to_string(size.length),
                {{"canvases", size.canvases},
                 {"length", size.length},
                 {"layers", layers},
                 {"hidden", architecture.hidden},
                 {"experts", architecture.experts()},
                 {"expertsHit", hit / layers}}};
  measured.sequence = false;  // a step is a sequence itself
  const auto numbers = [](int64_t rows, int64_t columns) { return rows * columns; };
  const auto active =
      static_cast<double>(layers * (layerSum(architecture, numbers) +
                                    architecture.expertsPerToken() * expertSum(architecture, numbers)) +
                          architecture.vocabulary * architecture.hidden);
  const double attention = 4.0 * static_cast<double>(layers * rows * size.length) *
                           static_cast<double>(architecture.layers.front().attention.heads.queryColumns());
  measured.operations = 2 * static_cast<double>(rows) * active + attention;
  const auto bytes = [&](int64_t rows, int64_t columns) {
    return Weights::bytes(options.weights, rows, columns);
  };
  measured.bytes = static_cast<double>(
      layers * layerSum(architecture, bytes) + hit * expertSum(architecture, bytes) +
      bytes(architecture.vocabulary, architecture.hidden) + rows * architecture.hidden * 2);
  return measured;
}

/** Launches by name, in the order of their first launch, with the median time per step over some steps. */
std::vector<LaunchSum> traceSteps(Model& model, Canvases& canvases) {
  std::vector<LaunchSum> sums;
  std::map<std::string, std::vector<double>> seconds;
  for (int step = 0; step < tracedSteps; ++step) {
    model.backend().startTrace();
    canvases.step(model);
    std::map<std::string, double> total;
    for (const TracedLaunch& launch : model.backend().finishTrace()) {
      auto known =
          std::find_if(sums.begin(), sums.end(), [&](const auto& sum) { return sum.name == launch.name; });
      if (known == sums.end()) known = sums.insert(sums.end(), {launch.name, 0, 0});
      if (step == 0) ++known->launches;
      total[launch.name] += launch.seconds;
    }
    for (const auto& [name, spent] : total) seconds[name].push_back(spent);
  }
  for (LaunchSum& sum : sums) {
    std::vector<double>& all = seconds[sum.name];
    std::sort(all.begin(), all.end());
    sum.seconds = all[all.size() / 2];
  }
  return sums;
}

}  // namespace

void benchStep(const Bench& bench) {
  const Options& options = bench.options;
  const Architecture architecture = architectureOf(options);
  const RandomCheckpoint checkpoint(architecture, options.weights);
  const AbortFlag never;
  Model model(
      architecture, backendOf(options), checkpoint.manifest(), [](const LoadProgress&) {}, never);
  const Bench own(model.backend(), options);
  std::vector<BatchSize> sizes = options.cases;
  if (sizes.empty())
    for (const int64_t length : options.rows) sizes.push_back({options.canvases, length});
  for (const BatchSize& size : sizes) {
    Canvases canvases(architecture, size);
    Case measured = caseOf(options, architecture, size, canvases.expertsHit(model));
    measured.call = [&](int64_t) { canvases.step(model); };
    own.report(measured);
    own.report(measured, traceSteps(model, canvases));
  }
}

}  // namespace rnd1::bench
