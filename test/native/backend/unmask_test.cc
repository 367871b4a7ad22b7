#include <algorithm>
#include <cfloat>
#include <numeric>

#include "backends.h"

namespace rnd1::test {
namespace {

/** The eligible positions of one canvas, with their scores. */
struct Canvas {
  std::vector<ScoreRow> rows;
  std::vector<Score> scores;
  std::vector<uint8_t> eligible;

  void add(int32_t position, float confidence, float entropy, float margin = 0, bool may = true) {
    rows.push_back({0, position, 0});
    scores.push_back({0, confidence, entropy, margin, true});
    eligible.push_back(may);
  }
};

/** `levels` distinct values at most, so that ties are common. */
Canvas randomCanvas(Noise& noise, int64_t count, int64_t levels, double share) {
  Canvas canvas;
  auto position = static_cast<int32_t>(noise.below(2));
  for (int64_t i = 0; i < count; ++i) {
    const auto level = [&] { return static_cast<float>(noise.below(levels)) / static_cast<float>(levels); };
    const bool first = position == 0;
    canvas.add(position, first ? -FLT_MAX : -3 * level(), first ? 0 : 2 * level(), first ? 0 : level(),
               noise.uniform() < share);
    // Some of the others hold a token that may be edited.
    if (!canvas.eligible.back()) canvas.eligible.back() = noise.uniform() < 0.5 ? mayEdit : notEligible;
    canvas.scores.back().token = static_cast<int32_t>(noise.below(2));
    position += 1 + static_cast<int32_t>(noise.below(4));
  }
  return canvas;
}

std::vector<int32_t> commit(Backend& backend, const Canvas& canvas, const UnmaskPlan& plan) {
  Limits limits;
  limits.scoredRows = static_cast<int64_t>(canvas.rows.size());
  limits.rows = limits.scoredRows;
  backend.reserve(limits);
  // Memory after the canvas must not change, and earlier `committed` flags are ignored.
  std::vector<Score> given = canvas.scores;
  for (Score& score : given) score.committed = true;
  given.push_back({-1, 1, 1, 1, true, true});
  const DeviceArray<ScoreRow> rows(backend, canvas.rows);
  const DeviceArray<uint8_t> eligible(backend, canvas.eligible);
  const DeviceArray<Score> scores(backend, given);
  const DeviceArray<UnmaskCanvas> selected(
      backend, std::vector<UnmaskCanvas>{{0, static_cast<int32_t>(canvas.rows.size()), plan}});
  backend.unmask({selected.data(), 1}, {rows.data(), rows.size()}, {eligible.data(), eligible.size()},
                 {scores.data(), scores.size()});
  const std::vector<Score> result = scores.host();
  expect(result.back().committed, "a score behind the canvas was changed");
  std::vector<int32_t> positions;
  for (size_t i = 0; i < canvas.rows.size(); ++i)
    if (result[i].committed) positions.push_back(canvas.rows[i].position);
  return positions;
}

std::string list(const std::vector<int32_t>& values) {
  std::string result = "[";
  for (const int32_t value : values) result += text(result.size() > 1 ? " " : "", value);
  return result + "]";
}

void expectPositions(const std::vector<int32_t>& actual, const std::vector<int32_t>& expected,
                     const std::string& what, Location location = Location::current()) {
  expect(actual == expected, text(what, ": got ", list(actual), ", expected ", list(expected)), location);
}

/** ln τ, as stored in plans. */
double logOf(double tau) { return static_cast<float>(std::log(tau)); }

constexpr UnmaskOrder orders[] = {UnmaskOrder::entropy, UnmaskOrder::confidence, UnmaskOrder::margin,
                                  UnmaskOrder::random};

void matchesOracle(Backend& backend) {
  Noise noise(61);
  for (const int64_t count : {1, 2, 7, 33, 129, 1025})
    for (const int64_t levels : {1, 4, 1000})
      for (const double share : {0.5, 1.0})
        for (const UnmaskOrder order : orders) {
          const Canvas canvas = randomCanvas(noise, count, levels, share);
          UnmaskPlan options{order, UnmaskLimit::keep, 0, 77 + static_cast<uint64_t>(count), 3};
          const auto check = [&](UnmaskLimit limit, double value) {
            UnmaskPlan plan = options;
            plan.limit = limit;
            plan.value = value;
            const auto bytes = oracle::unmask(canvas.rows, canvas.scores, canvas.eligible, plan);
            std::vector<int32_t> expected;
            for (size_t i = 0; i < bytes.size(); ++i)
              if (bytes[i]) expected.push_back(canvas.rows[i].position);
            expectPositions(commit(backend, canvas, plan), expected,
                            text(count, " rows, ", levels, " levels, order ", static_cast<int>(order),
                                 ", limit ", static_cast<int>(limit), ", value ", value));
          };
          for (const double keep : {0., 1., 3., 20., 64., 128., 1000.}) check(UnmaskLimit::keep, keep);
          for (const double gamma : {-1., 0., 0.3, 2., 1e9}) check(UnmaskLimit::gamma, gamma);
          for (const double tau : {1., 0.7, 0.2, 1e-9}) check(UnmaskLimit::tau, logOf(tau));
          if (share == 1 || (count != 7 && count != 129)) continue;
          for (const bool strict : {false, true})
            for (const int32_t atLeast : {0, 1, 50})
              for (const double value : {-2.25, -0.75, -0.1}) {
                options.strict = strict;
                options.atLeast = atLeast;
                options.editAbove = static_cast<float>(value) * 0.5f;
                check(UnmaskLimit::tau, value);
              }
          if (order == UnmaskOrder::random) continue;
          for (const double temperature : {1e-3, 1., 100.}) {
            options.orderTemperature = temperature;
            for (const double keep : {1., 20.}) check(UnmaskLimit::keep, keep);
          }
        }
}

void keepsTheWorst(Backend& backend) {
  Canvas canvas;
  //         position, confidence, entropy, margin
  canvas.add(2, -0.5f, 0.9f, 0.2f);
  canvas.add(3, -0.1f, 0.1f, 0.9f);
  canvas.add(5, -0.5f, 0.9f, 0.2f);
  canvas.add(7, -2.0f, 0.5f, 0.4f);
  canvas.add(9, -0.5f, 0.9f, 0.2f);
  const auto positions = [&](UnmaskOrder order, double keep) {
    return commit(backend, canvas, {order, UnmaskLimit::keep, keep, 0, 0});
  };
  expectPositions(positions(UnmaskOrder::entropy, 0), {2, 3, 5, 7, 9}, "entropy, keep 0");
  expectPositions(positions(UnmaskOrder::entropy, 1), {2, 3, 5, 7}, "entropy, keep 1");
  expectPositions(positions(UnmaskOrder::entropy, 2), {2, 3, 7}, "entropy, keep 2");
  expectPositions(positions(UnmaskOrder::entropy, 4), {3}, "entropy, keep 4");
  expectPositions(positions(UnmaskOrder::entropy, 5), {}, "entropy, keep all");
  expectPositions(positions(UnmaskOrder::entropy, 6), {}, "entropy, keep more than there are");
  expectPositions(positions(UnmaskOrder::confidence, 2), {2, 3, 5}, "confidence, keep 2");
  expectPositions(positions(UnmaskOrder::margin, 2), {2, 3, 7}, "margin, keep 2");
  canvas.eligible[1] = 0;
  expectPositions(positions(UnmaskOrder::entropy, 1), {2, 5, 7}, "position 3 is not eligible");
  canvas.eligible.assign(5, 0);
  expectPositions(positions(UnmaskOrder::entropy, 0), {}, "nothing is eligible");
}

void entropyBounded(Backend& backend) {
  const auto positions = [&](const Canvas& canvas, double gamma) {
    return commit(backend, canvas, {UnmaskOrder::confidence, UnmaskLimit::gamma, gamma, 0, 0});
  };
  Canvas canvas;
  canvas.add(4, -0.3f, 0.5f);
  canvas.add(6, -0.1f, 0.25f);
  canvas.add(8, -0.2f, 1.0f);
  canvas.add(9, -0.4f, 0.125f);
  // Order by confidence: 6, 8, 4, 9; sums without the largest: 0, 0.25, 0.75, 0.875.
  expectPositions(positions(canvas, 0), {6}, "gamma 0");
  expectPositions(positions(canvas, 0.25), {6, 8}, "gamma 0.25, equality counts");
  expectPositions(positions(canvas, 0.8), {4, 6, 8}, "gamma 0.8");
  expectPositions(positions(canvas, 2), {4, 6, 8, 9}, "gamma 2");
  expectPositions(positions(canvas, -0.1), {}, "gamma below zero");

  // 0.1 as a double is less than the f32 entropies it is compared with: the comparison is in f32.
  Canvas tenth;
  tenth.add(1, -0.1f, 0.1f);
  tenth.add(2, -0.2f, 0.1f);
  expectPositions(positions(tenth, 0.1), {1, 2}, "gamma is rounded to f32");

  Canvas absorbed;
  absorbed.add(1, -0.1f, 1.0f);
  absorbed.add(2, -0.2f, 0.5f);
  absorbed.add(3, -0.3f, 16777216.0f);
  // 0, 0.5, then f32(2^24 + 1.5) = 2^24 + 2, less 2^24: 2.
  expectPositions(positions(absorbed, 1.75), {1, 2}, "the running sum is stored in f32");
  Canvas regained;
  regained.add(1, -0.1f, 0.25f);
  regained.add(2, -0.2f, 0.25f);
  regained.add(3, -0.3f, 0.5f);
  regained.add(4, -0.4f, 33554432.0f);
  // 0, 0.25, 0.5, then f32(2^25 + 1) − 2^25 = 0: three are within 0.3, so the first three are committed.
  expectPositions(positions(regained, 0.3), {1, 2, 3}, "entries are counted, wherever they stand");
}

void threshold(Backend& backend) {
  Canvas canvas;
  canvas.add(0, -FLT_MAX, 0);
  canvas.add(3, std::log(0.5f), 0.2f);
  canvas.add(4, std::log(0.9f), 0.3f);
  canvas.add(8, std::log(0.1f), 0.1f);
  const auto positions = [&](double tau) {
    return commit(backend, canvas, {UnmaskOrder::confidence, UnmaskLimit::tau, logOf(tau), 0, 0});
  };
  expectPositions(positions(0.99), {4}, "none is confident enough");
  expectPositions(positions(0.9), {4}, "tau 0.9, equality counts");
  expectPositions(positions(0.5), {3, 4}, "tau 0.5, equality counts");
  expectPositions(positions(0.05), {3, 4, 8}, "tau 0.05");
  canvas.eligible[2] = 0;
  expectPositions(positions(0.95), {3}, "the best one is not eligible");
  canvas.eligible.assign(4, 0);
  expectPositions(positions(0.1), {}, "nothing is eligible");
}

void randomOrder(Backend& backend) {
  Canvas canvas;
  for (int32_t position = 1; position <= 40; ++position) canvas.add(position, -0.5f, 0.5f, 0.5f);
  const auto positions = [&](const Canvas& of, uint64_t seed, uint32_t round, double keep) {
    return commit(backend, of, {UnmaskOrder::random, UnmaskLimit::keep, keep, seed, round});
  };
  const auto first = positions(canvas, 5, 1, 30);
  expectEqual(first.size(), size_t{10}, "committed");
  expectPositions(positions(canvas, 5, 1, 30), first, "again");
  expect(positions(canvas, 6, 1, 30) != first, "the seed does not matter");
  expect(positions(canvas, uint64_t{5} | uint64_t{1} << 40, 1, 30) != first,
         "the seed's upper half does not matter");
  expect(positions(canvas, 5, 2, 30) != first, "the round does not matter");
  std::vector<int32_t> leading(10);
  std::iota(leading.begin(), leading.end(), 1);
  expect(first != leading, "the order is not random");
  // With other scores and fewer positions, the order stays the same.
  Canvas fewer;
  for (const int32_t position : first) fewer.add(position, -0.1f * static_cast<float>(position), 0.1f);
  const auto best = positions(canvas, 5, 1, 39);
  expectPositions(positions(fewer, 5, 1, 9), best, "the best of fewer");
}

void editing(Backend& backend) {
  Canvas canvas;
  canvas.add(1, std::log(0.95f), 0.1f);
  canvas.add(2, std::log(0.9f), 0.1f);
  canvas.add(3, std::log(0.99f), 0.1f);
  canvas.add(4, std::log(0.2f), 0.1f);
  for (Score& score : canvas.scores) score.token = 5;
  canvas.rows[2].token = 5;  // predicted again
  canvas.eligible = {mayEdit, mayEdit, mayEdit, mayCommit};
  UnmaskPlan plan{UnmaskOrder::confidence, UnmaskLimit::tau, logOf(0.5), 0, 0};
  plan.editAbove = std::log(0.9f);
  expectPositions(commit(backend, canvas, plan), {1, 4}, "edits are strict, and do not count");
  plan.atLeast = 0;
  expectPositions(commit(backend, canvas, plan), {1}, "an edit alone");
  canvas.eligible[3] = notEligible;
  plan.atLeast = 1;
  expectPositions(commit(backend, canvas, plan), {1}, "nothing is masked");
  plan.limit = UnmaskLimit::keep;
  expectPositions(commit(backend, canvas, plan), {1}, "edits do not depend on the limit");
  plan.editAbove = FLT_MAX;
  expectPositions(commit(backend, canvas, plan), {}, "above every confidence");
}

/** The order's first entries are draws without replacement from softmax(key / temperature). */
void gumbelOrder(Backend& backend) {
  const double chances[] = {0.5, 0.3, 0.2};
  Canvas canvas;
  for (int32_t i = 0; i < 3; ++i) {
    const auto chance = static_cast<float>(chances[i]);
    canvas.add(3 + 7 * i, std::log(chance), -chance, chance);
  }
  double weights[3], total = 0;
  for (int i = 0; i < 3; ++i) total += weights[i] = std::exp(chances[i] / 0.5);
  constexpr int rounds = 600;
  for (const UnmaskOrder order : {UnmaskOrder::confidence, UnmaskOrder::margin, UnmaskOrder::entropy}) {
    int first[3] = {}, last[3] = {};
    UnmaskPlan plan{order, UnmaskLimit::keep, 2, 11, 0};
    plan.orderTemperature = 0.5;
    for (; plan.round < rounds; ++plan.round) {
      plan.value = 2;
      const auto best = commit(backend, canvas, plan);
      plan.value = 1;
      const auto two = commit(backend, canvas, plan);
      if (!expect(best.size() == 1 && two.size() == 2, "another number is committed")) return;
      ++first[best[0] / 7];
      for (int i = 0; i < 3; ++i)
        if (std::find(two.begin(), two.end(), 3 + 7 * i) == two.end()) ++last[i];
    }
    for (int i = 0; i < 3; ++i) {
      const auto chance = [&](int a) { return weights[a] / total; };
      const int a = (i + 1) % 3, b = (i + 2) % 3;
      const double isLast = chance(a) * chance(b) / (1 - chance(a)) + chance(b) * chance(a) / (1 - chance(b));
      expect(std::abs(first[i] / double{rounds} - chance(i)) < 0.06,
             text("position ", i, " is first ", first[i], " times"));
      expect(std::abs(last[i] / double{rounds} - isLast) < 0.06,
             text("position ", i, " is last ", last[i], " times"));
    }
  }
}

const DeviceTests unmaskTests{
    {"unmask: every order and limit, with ties, against the rule written plainly",
     [] { forEachBackend(matchesOracle); }},
    {"unmask: keep leaves the worst masked; ties commit the lower position",
     [] { forEachBackend(keepsTheWorst); }},
    {"unmask: gamma bounds the entropy that is committed at once", [] { forEachBackend(entropyBounded); }},
    {"unmask: tau commits what is confident enough, at least one", [] { forEachBackend(threshold); }},
    {"unmask: the random order depends on seed, round and position alone",
     [] { forEachBackend(randomOrder); }},
    {"unmask: edits need another prediction and a confidence above the bound",
     [] { forEachBackend(editing); }},
    {"unmask: with a temperature the order is drawn without replacement",
     [] { forEachBackend(gumbelOrder); }},
};

}  // namespace
}  // namespace rnd1::test
