// Routers with sigmoid scores, a bias for the selection and groups of experts.
#include <algorithm>
#include <cmath>

#include "route_support.h"

namespace rnd1::test {
namespace {

struct Router {
  Router(Noise& noise, int64_t experts, int64_t hidden)
      : weights(noise.matrix(experts, hidden, DType::f32, 0.4f), DType::f32),
        bias(noise.matrix(1, experts, DType::f32, 0.3f), DType::f32) {}

  HostWeight weights, bias;
};

/** Options on a backend, with the bias placed there. */
RouteOptions optionsOf(Backend& backend, const Router& router, int64_t k, ExpertGroups groups) {
  RouteOptions options;
  options.expertsPerToken = k;
  options.normalise = true;
  options.score = RouterScore::sigmoid;
  options.selectionBias = backend.place(router.bias.mapped());
  options.groups = groups;
  options.scale = 2.5f;
  return options;
}

struct Expected {
  std::vector<int32_t> ids;  // best first
  std::vector<double> weights;
  double gap = 0;  // the smallest difference that decides
};

/** One row in float64. */
Expected expectedOf(const double* logits, const std::vector<float>& bias, const RouteOptions& options) {
  const auto experts = static_cast<int64_t>(bias.size());
  std::vector<double> scores, selection;
  for (int64_t expert = 0; expert < experts; ++expert) {
    scores.push_back(1 / (1 + std::exp(-logits[expert])));
    selection.push_back(scores.back() + (options.selectionBias.data ? bias[static_cast<size_t>(expert)] : 0));
  }
  Expected result;
  result.gap = INFINITY;
  const auto best = [&](const std::vector<double>& values, int64_t count) {
    auto order = oracle::descending(values);
    for (size_t rank = 1; rank <= static_cast<size_t>(count) && rank < order.size(); ++rank)
      result.gap = std::min(result.gap, values[static_cast<size_t>(order[rank - 1])] -
                                            values[static_cast<size_t>(order[rank])]);
    order.resize(static_cast<size_t>(count));
    return order;
  };
  if (options.groups.count > 0) {
    const int64_t size = experts / options.groups.count;
    std::vector<double> values;
    for (int64_t group = 0; group < options.groups.count; ++group) {
      std::vector<double> members(selection.begin() + group * size, selection.begin() + (group + 1) * size);
      std::sort(members.rbegin(), members.rend());
      values.push_back(size > 1 ? members[0] + members[1] : members[0]);
    }
    const auto kept = best(values, options.groups.kept);
    for (int64_t expert = 0; expert < experts; ++expert)
      if (std::find(kept.begin(), kept.end(), expert / size) == kept.end())
        selection[static_cast<size_t>(expert)] = -INFINITY;
  }
  result.ids = best(selection, options.expertsPerToken);
  double sum = 0;
  for (const int32_t id : result.ids) sum += scores[static_cast<size_t>(id)];
  for (const int32_t id : result.ids)
    result.weights.push_back(scores[static_cast<size_t>(id)] * options.scale /
                             (options.normalise ? sum : 1.0));
  return result;
}

void matchesOracle() {
  forEachBackend([](Backend& backend) {
    Noise noise(41);
    struct Case {
      int64_t experts, k;
      ExpertGroups groups;
    };
    for (const auto& [experts, k, groups] : {Case{16, 4, {4, 2}},
                                             {256, 8, {8, 4}},
                                             {33, 5, {}},
                                             {6, 2, {6, 3}},
                                             {40, 8, {5, 1}},
                                             {128, 8, {64, 40}}})
      for (const int64_t rows : {1, 7, 65})
        for (const bool plain : {false, true}) {
          const Scope scope(text(experts, " experts, ", groups.count, " groups, ", rows, " rows",
                                 plain ? ", no bias, not normalised" : ""));
          const Matrix x = noise.matrix(rows, 24, backend.dtype());
          const Router router(noise, experts, 24);
          RouteOptions options = optionsOf(backend, router, k, groups);
          if (plain) {
            options.selectionBias = {};
            options.normalise = false;
          }
          const DoubleMatrix logits = oracle::matmul(x, router.weights.values(backend.dtype()));
          const Routing actual = route(backend, x, router.weights, options);
          for (int64_t row = 0; row < rows; ++row) {
            const Expected expected = expectedOf(logits.row(row), router.bias.vector(), options);
            // What f32 cannot tell apart may go either way.
            if (expected.gap < 1e-5) continue;
            for (int64_t rank = 0; rank < k; ++rank) {
              const auto slot = static_cast<size_t>(row * k + rank);
              expectEqual(actual.ids[slot], expected.ids[static_cast<size_t>(rank)],
                          text("row ", row, ", rank ", rank));
              const double weight = expected.weights[static_cast<size_t>(rank)];
              expect(std::abs(actual.weights.values[slot] - weight) < 1e-5 * weight,
                     text("weight of row ", row, ", rank ", rank, ": ", actual.weights.values[slot], ", not ",
                          weight));
            }
          }
        }
  });
}

void ties() {
  forEachBackend([](Backend& backend) {
    Noise noise(42);
    const Matrix x = noise.matrix(3, 20, backend.dtype());
    Router router(noise, 12, 20);
    router.weights = HostWeight(Matrix(12, 20), DType::f32);
    // All groups are equal by their two best. The third of the last groups is better than that of the first.
    Matrix bias(1, 12);
    bias.values = {1, 1, 0, 1, 1, 0, 1, 1, 0.5f, 1, 1, 0.5f};
    router.bias = HostWeight(bias, DType::f32);
    const Routing actual = route(backend, x, router.weights, optionsOf(backend, router, 5, {4, 2}));
    const int32_t expected[] = {0, 1, 3, 4, 2};
    for (int64_t row = 0; row < 3; ++row)
      for (int64_t rank = 0; rank < 5; ++rank)
        expectEqual(actual.ids[static_cast<size_t>(row * 5 + rank)], expected[rank], text("row ", row));
  });
}

void nanStaysInItsRow() {
  forEachBackend([](Backend& backend) {
    Noise noise(43);
    Matrix x = noise.matrix(5, 24, backend.dtype());
    const Router router(noise, 16, 24);
    const RouteOptions options = optionsOf(backend, router, 4, {4, 2});
    const Routing clean = route(backend, x, router.weights, options);
    std::fill(x.row(2), x.row(2) + 24, std::nanf(""));
    const Routing actual = route(backend, x, router.weights, options);
    for (size_t slot = 0; slot < actual.ids.size(); ++slot) {
      expect(actual.ids[slot] >= 0 && actual.ids[slot] < 16, text("slot ", slot, ": ", actual.ids[slot]));
      if (slot / 4 != 2) expectEqual(actual.ids[slot], clean.ids[slot], text("slot ", slot));
    }
  });
}

void forcedExperts() {
  forEachBackend([](Backend& backend) {
    Noise noise(44);
    const Matrix x = noise.matrix(7, 24, backend.dtype());
    const Router router(noise, 16, 24);
    RouteOptions options = optionsOf(backend, router, 4, {4, 2});
    const Routing chosen = route(backend, x, router.weights, options);
    const DeviceArray<int32_t> ids(backend, chosen.ids);
    options.forcedExperts = ids.data();
    const Routing forced = route(backend, x, router.weights, options);
    expect(forced.ids == chosen.ids, "the ids are not the forced ones");
    expectSameBits(forced.weights.values, chosen.weights.values, "weights");
  });
}

void contradictions() {
  forEachBackend([](Backend& backend) {
    Noise noise(45);
    const Matrix x = noise.matrix(2, 24, backend.dtype());
    const Router router(noise, 16, 24);
    const auto refused = [&](const char* what, auto change) {
      RouteOptions options = optionsOf(backend, router, 4, {4, 2});
      change(options);
      expectThrows<Error>([&] { route(backend, x, router.weights, options); }, what);
    };
    refused("a softmax router with a bias",
            [](RouteOptions& options) { options.score = RouterScore::softmax; });
    refused("five groups of sixteen", [](RouteOptions& options) { options.groups = {5, 2}; });
    refused("more groups than there are", [](RouteOptions& options) { options.groups = {4, 5}; });
    refused("too few experts in one group", [](RouteOptions& options) { options.groups = {8, 1}; });
    refused("a bias for other experts", [](RouteOptions& options) { options.selectionBias.columns = 15; });
  });
}

const DeviceTests sigmoidRouteTests{
    {"route: sigmoid scores with bias and groups against float64", matchesOracle},
    {"route: sigmoid ties go to the lower group and the lower id", ties},
    {"route: with sigmoid scores NaN stays in its row", nanStaysInItsRow},
    {"route: forced experts have the weights of chosen ones", forcedExperts},
    {"route: options that contradict each other are refused", contradictions},
};

}  // namespace
}  // namespace rnd1::test
