// Gradients of attention, experts, routers and the cross entropy.
#include <algorithm>
#include <array>
#include <cmath>
#include <string_view>

#include "training_support.h"

namespace rnd1::test {
namespace {

void attentionGradients() {
  forEachTraining([](Backend& backend, TrainingOps& ops) {
    Noise noise(41);
    const HeadLayout layout{4, 2, 6};
    const int64_t columns = layout.columns();
    const float scale = 0.4f;
    for (const std::vector<int32_t>& lengths : {std::vector<int32_t>{5, 1, 11}, {70}})
      for (const int32_t maskBlock : {0, 1, 4}) {
        const Scope scope(text(lengths.size(), " canvases, block ", maskBlock));
        const std::vector<int32_t> offsets = offsetsOf(lengths);
        const int64_t rows = offsets.back();
        std::vector<int32_t> positions;
        for (const int32_t length : lengths)
          for (int32_t i = 0; i < length; ++i) positions.push_back(i);
        const Matrix qkv = noise.matrix(rows, columns), dout = noise.matrix(rows, layout.queryColumns());
        DoubleMatrix x(qkv);
        const auto part = [&](int64_t first, int64_t count) {
          DoubleMatrix result(rows, count);
          for (int64_t row = 0; row < rows; ++row)
            std::copy(x.row(row) + first, x.row(row) + first + count, result.row(row));
          return result;
        };
        const auto loss = [&] {
          const DoubleMatrix out =
              oracle::attention(
                  part(0, layout.queryColumns()), part(layout.queryColumns(), layout.keyValueColumns()),
                  part(layout.queryColumns() + layout.keyValueColumns(), layout.keyValueColumns()), layout,
                  offsets, offsets, positions, scale, maskBlock)
                  .out;
          double sum = 0;
          for (size_t i = 0; i < out.values.size(); ++i) sum += out.values[i] * dout.values[i];
          return sum;
        };
        Limits limits;
        limits.rows = rows;
        limits.headDim = layout.headDim;
        limits.innerColumns = columns;
        backend.reserve(limits);
        const DeviceMatrix given(backend, qkv), out(backend, rows, layout.queryColumns());
        const DeviceArray<int32_t> starts(backend, offsets), places(backend, positions);
        const DeviceArray<float> logSumExp(backend, static_cast<size_t>(rows * layout.heads));
        const CanvasOffsets canvases{starts.data(), static_cast<int64_t>(lengths.size())};
        const Tensor all = given;
        backend.attention(
            all.columnRange(0, layout.queryColumns()),
            all.columnRange(layout.queryColumns(), layout.keyValueColumns()),
            all.columnRange(layout.queryColumns() + layout.keyValueColumns(), layout.keyValueColumns()),
            layout, {canvases, places.data(), canvases, {}}, {maskBlock}, scale, out, logSumExp.data());
        const DeviceMatrix dQkv(backend, rows, columns);
        ops.attentionBackward(given, out, logSumExp.data(), DeviceMatrix(backend, dout), layout, canvases,
                              {maskBlock}, scale, dQkv);
        const std::vector<float> actual = dQkv.host().values;
        if (lengths.size() > 1) {
          expectGradient(actual, derivatives(x.values, loss), "qkv");
          continue;
        }
        // Only some rows of a long canvas: the oracle is slow.
        for (const int64_t row : {0, 3, 63, 64, 69}) {
          std::vector<double> values(x.row(row), x.row(row) + columns);
          const std::vector<double> expected = derivatives(values, [&] {
            std::copy(values.begin(), values.end(), x.row(row));
            return loss();
          });
          std::copy(qkv.row(row), qkv.row(row) + columns, x.row(row));
          expectGradient({actual.data() + row * columns, static_cast<size_t>(columns)}, expected,
                         text("row ", row));
        }
      }
  });
}

/** Experts of one routing, in float64 and in a backend. */
struct ExpertCase {
  int64_t rows, hidden, width, experts, k;
  std::vector<double> x, weights;             // (rows, hidden), (rows, k)
  std::vector<int32_t> ids;                   // (rows, k)
  std::vector<std::vector<double>> matrices;  // gate, up, down of every expert

  ExpertCase(Noise& noise, int64_t rows, int64_t experts, int64_t k)
      : rows(rows), hidden(11), width(7), experts(experts), k(k) {
    x = widened(noise.normals(static_cast<size_t>(rows * hidden)));
    weights = widened(noise.normals(static_cast<size_t>(rows * k)));
    // The last expert has no rows, if there are enough others.
    const int64_t used = experts > k ? experts - 1 : experts;
    for (int64_t row = 0; row < rows; ++row) {
      const auto first = static_cast<int32_t>(noise.below(used));
      for (int64_t rank = 0; rank < k; ++rank) ids.push_back(static_cast<int32_t>((first + rank) % used));
    }
    for (int64_t i = 0; i < 3 * experts; ++i)
      matrices.push_back(widened(noise.normals(static_cast<size_t>(width * hidden), 0.5f)));
  }

  double loss(const std::vector<float>& dout) const {
    double sum = 0;
    for (int64_t row = 0; row < rows; ++row)
      for (int64_t rank = 0; rank < k; ++rank) {
        const auto slot = static_cast<size_t>(row * k + rank);
        const std::vector<double>* of = &matrices[static_cast<size_t>(3 * ids[slot])];
        const double* input = x.data() + row * hidden;
        for (int64_t column = 0; column < width; ++column) {
          double a = 0, u = 0;
          for (int64_t i = 0; i < hidden; ++i) {
            a += input[i] * of[0][static_cast<size_t>(column * hidden + i)];
            u += input[i] * of[1][static_cast<size_t>(column * hidden + i)];
          }
          const double h = a / (1 + std::exp(-a)) * u;
          for (int64_t i = 0; i < hidden; ++i)
            sum += weights[slot] * h * of[2][static_cast<size_t>(i * width + column)] *
                   dout[static_cast<size_t>(row * hidden + i)];
        }
      }
    return sum;
  }
};

std::vector<float> narrowed(const std::vector<double>& values) { return {values.begin(), values.end()}; }

void expertGradients() {
  forEachTraining([](Backend& backend, TrainingOps& ops) {
    Noise noise(42);
    for (const char* kind : {"experts", "dense", "experts of some rows"}) {
      const Scope scope(kind);
      const bool isDense = std::string_view(kind) == "dense";
      ExpertCase with(noise, 13, isDense ? 1 : 5, isDense ? 1 : 2);
      if (isDense) std::fill(with.weights.begin(), with.weights.end(), 1.0);
      const int64_t rows = with.rows, slots = rows * with.k, size = with.width * with.hidden;
      std::vector<float> dout = noise.normals(static_cast<size_t>(rows * with.hidden));
      const DeviceMatrix given(backend, matrixOf(rows, dout));
      std::vector<std::unique_ptr<DeviceArray<float>>> arrays;
      std::vector<std::unique_ptr<GradientArray>> sums;
      std::vector<ExpertWeights> weights;
      std::vector<ExpertGradients> gradients;
      for (const auto& matrix : with.matrices) {
        arrays.push_back(std::make_unique<DeviceArray<float>>(backend, narrowed(matrix)));
        sums.push_back(std::make_unique<GradientArray>(backend, size));
      }
      for (size_t i = 0; i < arrays.size(); i += 3) {
        weights.push_back({weightOf(*arrays[i], with.width, with.hidden),
                           weightOf(*arrays[i + 1], with.width, with.hidden),
                           weightOf(*arrays[i + 2], with.hidden, with.width)});
        gradients.push_back({sums[i]->data(), sums[i + 1]->data(), sums[i + 2]->data()});
      }
      std::vector<int32_t> offsets(static_cast<size_t>(with.experts + 1)), order;
      for (int32_t expert = 0; expert < with.experts; ++expert) {
        for (int32_t slot = 0; slot < slots; ++slot)
          if (with.ids[static_cast<size_t>(slot)] == expert) order.push_back(slot);
        offsets[static_cast<size_t>(expert + 1)] = static_cast<int32_t>(order.size());
      }
      const DeviceArray<int32_t> starts(backend, offsets), slotArray(backend, order), ids(backend, with.ids);
      const DeviceArray<float> factors(backend, narrowed(with.weights));
      Dispatch dispatch;
      dispatch.rows = rows;
      dispatch.expertsPerToken = with.k;
      dispatch.experts = with.experts;
      dispatch.expertIds = ids.data();
      dispatch.weights = factors.data();
      dispatch.offsets = starts.data();
      dispatch.slots = slotArray.data();
      Limits limits;
      limits.rows = rows;
      limits.innerColumns = with.hidden;
      backend.reserve(limits);
      std::vector<int32_t> skipped;
      if (std::string_view(kind) == "experts of some rows") {
        const std::vector<int32_t> some{1, 4, 5, 12};
        const DeviceArray<int32_t> kept(backend, some);
        ops.keepRows(kept.data(), static_cast<int64_t>(some.size()), dispatch);
        offsets = starts.host();
        // To the loss, rows that are skipped are rows without a gradient.
        for (int32_t row = 0; row < rows; ++row)
          if (std::find(some.begin(), some.end(), row) == some.end()) {
            std::fill_n(dout.begin() + row * with.hidden, with.hidden, 0.0f);
            skipped.push_back(row);
          }
      }
      const DeviceMatrix input(backend, matrixOf(rows, narrowed(with.x))), gate(backend, slots, with.width),
          up(backend, slots, with.width);
      const DeviceMatrix out(backend, rows, with.hidden), dx(backend, Matrix(rows, with.hidden));
      const DeviceArray<float> dWeights(backend, static_cast<size_t>(slots));
      if (isDense) {
        ops.mlp(input, weights[0], gate, up, out);
        ops.mlpBackward(input, weights[0], gate, up, given, dx, gradients[0]);
      } else {
        ops.experts(input, weights, dispatch, gate, up, out);
        ops.expertsBackward(input, weights, dispatch, gate, up, given, dx, dWeights.data(), gradients);
      }
      double loss = 0;
      const Matrix result = out.host();
      for (const int32_t row : skipped)
        for (int64_t column = 0; column < with.hidden; ++column)
          expectEqual(result.at(row, column), 0.0f, text("skipped row ", row));
      for (size_t i = 0; i < dout.size(); ++i) loss += static_cast<double>(result.values[i]) * dout[i];
      const double expected = with.loss(dout);
      expect(std::abs(loss - expected) < 1e-5 * (1 + std::abs(expected)),
             text("forward ", loss, ", expected ", expected));
      const auto evaluate = [&] { return with.loss(dout); };
      expectGradient(dx.host().values, derivatives(with.x, evaluate), "dx");
      if (!isDense) expectGradient(dWeights.host(), derivatives(with.weights, evaluate), "routing weights");
      for (size_t i = 0; i < sums.size(); ++i) {
        const std::vector<double> derivative = derivatives(with.matrices[i], evaluate);
        if (offsets[i / 3] == offsets[i / 3 + 1]) {
          for (const float value : sums[i]->added()) expectEqual(value, 0.0f, "an expert without rows");
        } else {
          expectGradient(sums[i]->added(), derivative, text("matrix ", i));
        }
      }
    }
  });
}

void routeGradients() {
  forEachTraining([](Backend& backend, TrainingOps& ops) {
    Noise noise(43);
    constexpr int64_t rows = 9, experts = 6;
    for (const int64_t k : {1, 3})
      for (const bool normalise : {false, true})
        for (const bool losses : {false, true}) {
          const Scope scope(text("top ", k, normalise ? ", normalised" : "", losses ? ", losses" : ""));
          const Matrix logits = noise.matrix(rows, experts), identity = [] {
            Matrix square(experts, experts);
            for (int64_t i = 0; i < experts; ++i) square.at(i, i) = 1;
            return square;
          }();
          const DeviceArray<float> router(backend, identity.values);
          const DeviceArray<float> computed(backend, rows * experts), weights(backend, rows * k);
          const DeviceArray<int32_t> ids(backend, rows * k), offsets(backend, experts + 1),
              slots(backend, rows * k);
          Dispatch dispatch;
          dispatch.routerLogits = computed.data();
          dispatch.weights = weights.data();
          dispatch.expertIds = ids.data();
          dispatch.offsets = offsets.data();
          dispatch.slots = slots.data();
          RouteOptions options;
          options.expertsPerToken = k;
          options.normalise = normalise;
          options.scale = 1.5f;
          Limits limits;
          limits.rows = rows;
          limits.experts = limits.innerColumns = experts;
          limits.expertsPerToken = k;
          backend.reserve(limits);
          backend.route(DeviceMatrix(backend, logits), weightOf(router, experts, experts), options, dispatch);
          const std::vector<int32_t> chosen = ids.host();
          const std::vector<float> given = noise.normals(rows * k), balance = noise.normals(experts);
          std::vector<double> l = widened(logits.values);
          const double z = losses ? 0.3 : 0;
          double squared = 0;
          std::vector<double> probabilities(experts);
          const auto loss = [&] {
            double sum = 0;
            squared = 0;
            std::fill(probabilities.begin(), probabilities.end(), 0.0);
            for (int64_t row = 0; row < rows; ++row) {
              double total = 0, kept = 0;
              const auto exponential = [&](int64_t e) {
                return std::exp(l[static_cast<size_t>(row * experts + e)]);
              };
              for (int64_t e = 0; e < experts; ++e) total += exponential(e);
              for (int64_t rank = 0; rank < k; ++rank)
                kept += exponential(chosen[static_cast<size_t>(row * k + rank)]) / total;
              for (int64_t rank = 0; rank < k; ++rank)
                sum += 1.5 * given[static_cast<size_t>(row * k + rank)] *
                       exponential(chosen[static_cast<size_t>(row * k + rank)]) / total /
                       (normalise ? kept : 1);
              for (int64_t e = 0; e < experts; ++e) {
                probabilities[static_cast<size_t>(e)] += exponential(e) / total;
                if (losses) sum += balance[static_cast<size_t>(e)] * exponential(e) / total;
              }
              squared += std::log(total) * std::log(total);
              sum += z / 2 * std::log(total) * std::log(total);
            }
            return sum;
          };
          const DeviceArray<float> dWeights(backend, given), balances(backend, balance);
          const DeviceMatrix dLogits(backend, rows, experts);
          ops.routeBackward(dispatch, options, dWeights.data(),
                            {losses ? balances.data() : nullptr, static_cast<float>(z)}, dLogits);
          const std::vector<float> actual = dLogits.host().values;
          if (normalise && k == 1 && !losses) {
            for (const float value : actual) expectEqual(value, 0.0f, "gradient of the only weight");
          } else {
            expectGradient(actual, derivatives(l, loss), "logits");
          }
          loss();
          std::vector<double> sums(experts), counts(experts);
          RouterSums routing{sums.data(), counts.data(), 0};
          ops.routerSums(dispatch, routing);
          for (int64_t e = 0; e < experts; ++e) {
            const auto at = static_cast<size_t>(e);
            expect(std::abs(sums[at] - probabilities[at]) < 1e-5, text("probabilities of expert ", e));
            expectEqual(counts[at], static_cast<double>(std::count(chosen.begin(), chosen.end(), e)),
                        "rows that chose an expert");
          }
          expect(std::abs(routing.squaredLogSumExp - squared) < 1e-4, "squared log-sum-exp");
        }
  });
}

void crossEntropyGradients() {
  forEachTraining([](Backend& backend, TrainingOps& ops) {
    Noise noise(44);
    for (const auto& [rows, vocabulary] :
         {std::array<int64_t, 2>{1, 5}, {9, 37}, {300, 1100}, {1100, 2077}}) {
      const Scope scope(text(rows, " rows, vocabulary ", vocabulary));
      constexpr int64_t hidden = 6;
      const Matrix x = noise.matrix(rows, hidden), head = noise.matrix(vocabulary, hidden);
      std::vector<int32_t> places, targets;
      std::vector<float> weights;
      for (int64_t row = 0; row < rows; ++row) {
        places.push_back(static_cast<int32_t>(2 * row + 1));
        targets.push_back(static_cast<int32_t>(noise.below(vocabulary)));
        weights.push_back(static_cast<float>(noise.uniform()));
      }
      Limits limits;
      limits.rows = rows;
      limits.innerColumns = hidden;
      backend.reserve(limits);
      const DeviceArray<float> headArray(backend, head.values), weightArray(backend, weights);
      const DeviceArray<int32_t> placeArray(backend, places), targetArray(backend, targets);
      const GradientArray dHead(backend, vocabulary * hidden);
      const DeviceMatrix dx(backend, rows, hidden);
      std::vector<double> losses(static_cast<size_t>(rows)), again = losses;
      const Weight weight = weightOf(headArray, vocabulary, hidden);
      const ScoredRows scored{placeArray.data(), targetArray.data(), weightArray.data(), rows};
      const DeviceMatrix xMatrix(backend, x);
      ops.crossEntropy(xMatrix, weight, scored, again.data(), nullptr, nullptr);
      Tensor gradient = dx;
      ops.crossEntropy(xMatrix, weight, scored, losses.data(), &gradient, dHead.data());
      expect(losses == again, "the losses without gradients are the same");
      DoubleMatrix dxExpected(rows, hidden), dHeadExpected(vocabulary, hidden);
      for (int64_t row = 0; row < rows; ++row) {
        std::vector<double> z(static_cast<size_t>(vocabulary));
        double sum = 0;
        for (int64_t v = 0; v < vocabulary; ++v) {
          for (int64_t i = 0; i < hidden; ++i)
            z[static_cast<size_t>(v)] += static_cast<double>(x.at(row, i)) * head.at(v, i);
          sum += std::exp(z[static_cast<size_t>(v)]);
        }
        const auto at = static_cast<size_t>(row);
        const double expected = std::log(sum) - z[static_cast<size_t>(targets[at])];
        expect(std::abs(losses[at] - expected) < 1e-6 * std::max(1.0, expected),
               text("cross entropy ", losses[at], ", expected ", expected));
        for (int64_t v = 0; v < vocabulary; ++v) {
          const double dz =
              weights[at] * (std::exp(z[static_cast<size_t>(v)]) / sum - (v == targets[at] ? 1 : 0));
          for (int64_t i = 0; i < hidden; ++i) {
            dxExpected.at(row, i) += dz * head.at(v, i);
            dHeadExpected.at(v, i) += dz * x.at(row, i);
          }
        }
      }
      expectGradient(dx.host().values, dxExpected.values, "dx");
      for (double& value : dHeadExpected.values) value += GradientArray::start;
      expectGradient(dHead.host(), dHeadExpected.values, "head");
    }
  });
}

const DeviceTests tests{{"training: gradients of attention", attentionGradients},
                        {"training: gradients of experts and dense MLPs", expertGradients},
                        {"training: gradients of routers", routeGradients},
                        {"training: cross entropy", crossEntropyGradients}};

}  // namespace
}  // namespace rnd1::test
