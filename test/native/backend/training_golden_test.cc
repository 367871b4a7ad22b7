// One op each against the golden data of PyTorch in float64: test/fixtures/training/ops.
#include <algorithm>
#include <cmath>

#include "golden_arrays.h"
#include "training_support.h"

namespace rnd1::test {
namespace {

using Body = void (*)(Backend& backend, TrainingOps& ops, const GoldenArrays& golden);

/** Runs the body with every instruction set that trains. */
void withGolden(Body body) {
  const GoldenArrays golden("training/ops/ops");
  forEachTraining([&](Backend& backend, TrainingOps& ops) { body(backend, ops, golden); });
}

void reserve(Backend& backend, int64_t rows, int64_t columns, int64_t experts = 0, int64_t k = 0) {
  Limits limits;
  limits.rows = rows;
  limits.innerColumns = columns;
  limits.headDim = 8;
  limits.experts = experts;
  limits.expertsPerToken = k;
  backend.reserve(limits);
}

/** The columns of several matrices side by side. */
template <typename T>
std::vector<T> sideBySide(int64_t rows, std::initializer_list<std::vector<T>> parts) {
  std::vector<T> all;
  for (int64_t row = 0; row < rows; ++row)
    for (const std::vector<T>& part : parts) {
      const auto columns = static_cast<ptrdiff_t>(part.size()) / rows;
      all.insert(all.end(), part.begin() + row * columns, part.begin() + (row + 1) * columns);
    }
  return all;
}

void embed() {
  withGolden([](Backend& backend, TrainingOps& ops, const GoldenArrays& golden) {
    const DeviceArray<int32_t> tokens(backend, {3, 0, 3, 10, 3});
    const GradientArray dTable(backend, 66);
    ops.embedBackward(tokens.data(), DeviceMatrix(backend, golden.matrix("embed.dout", 5, 6)), dTable.data());
    expectGradient(dTable.added(), golden.doubles("embed.dtable"), "table");
  });
}

void rmsNorm() {
  withGolden([](Backend& backend, TrainingOps& ops, const GoldenArrays& golden) {
    Matrix residual = golden.matrix("addRmsNorm.residual", 5, 24);
    const std::vector<float> delta = golden.floats("addRmsNorm.delta");
    for (size_t i = 0; i < delta.size(); ++i) residual.values[i] += delta[i];
    const DeviceArray<float> scale(backend, golden.floats("addRmsNorm.scale"));
    const DeviceMatrix dresidual(backend, golden.matrix("addRmsNorm.dresidual_above", 5, 24));
    const GradientArray dScale(backend, 24);
    ops.rmsNormBackward(DeviceMatrix(backend, residual), weightOf(scale, 1, 24), 1e-6f,
                        DeviceMatrix(backend, golden.matrix("addRmsNorm.dout", 5, 24)), dresidual,
                        dScale.data());
    expectGradient(dresidual.host().values, golden.doubles("addRmsNorm.dresidual"), "residual");
    expectGradient(dScale.added(), golden.doubles("addRmsNorm.dscale"), "scale");
  });
}

void matmul() {
  withGolden([](Backend& backend, TrainingOps& ops, const GoldenArrays& golden) {
    const DeviceArray<float> first(backend, golden.floats("matmul.weight0"));
    const DeviceArray<float> second(backend, golden.floats("matmul.weight1"));
    const std::vector<Weight> weights{weightOf(first, 6, 10), weightOf(second, 3, 10)};
    const GradientArray dFirst(backend, 60), dSecond(backend, 30);
    const std::vector<float*> wanted{dFirst.data(), dSecond.data()};
    const DeviceMatrix dx(backend, 7, 10);
    Tensor gradient = dx;
    ops.matmulBackward(DeviceMatrix(backend, golden.matrix("matmul.x", 7, 10)), weights,
                       DeviceMatrix(backend, golden.matrix("matmul.dout", 7, 9)), &gradient, false, wanted);
    expectGradient(dx.host().values, golden.doubles("matmul.dx"), "dx");
    expectGradient(dFirst.added(), golden.doubles("matmul.dweight0"), "first weight");
    expectGradient(dSecond.added(), golden.doubles("matmul.dweight1"), "second weight");
  });
}

void normRope() {
  withGolden([](Backend& backend, TrainingOps& ops, const GoldenArrays& golden) {
    const HeadLayout layout{4, 2, 8};
    const std::vector<float> qkv = golden.floats("normRope.qkv");
    Matrix before(7, 48);
    for (int64_t row = 0; row < 7; ++row) std::copy_n(qkv.begin() + row * 64, 48, before.row(row));
    const DeviceArray<float> queryNorm(backend, golden.floats("normRope.queryNorm"));
    const DeviceArray<float> keyNorm(backend, golden.floats("normRope.keyNorm"));
    HeadNorms norms;
    norms.epsilon = 1e-6f;
    norms.queryNorm = weightOf(queryNorm, 1, 8);
    norms.keyNorm = weightOf(keyNorm, 1, 8);
    const DeviceArray<int32_t> positions(backend, {0, 1, 2, 3, 0, 1, 2});
    const DeviceMatrix dQkv(backend, golden.matrix("normRope.dout", 7, 64));
    const DeviceMatrix angles(backend, oracle::rotary(7, 8, 1e4));
    const GradientArray dQuery(backend, 8), dKey(backend, 8);
    ops.normRopeBackward(DeviceMatrix(backend, before), layout, norms, positions.data(), angles, dQkv,
                         {nullptr, dQuery.data(), dKey.data()});
    expectGradient(dQkv.host().values, golden.doubles("normRope.dqkv"), "projections");
    expectGradient(dQuery.added(), golden.doubles("normRope.dqueryNorm"), "query norm");
    expectGradient(dKey.added(), golden.doubles("normRope.dkeyNorm"), "key norm");
  });
}

void attentionOf(Backend& backend, TrainingOps& ops, const GoldenArrays& golden, const std::string& name,
                 AttentionMask mask) {
  const Scope scope(name);
  constexpr int64_t rows = 17;
  const auto floats = [&](const char* part) { return golden.floats(name + part); };
  const Matrix qkv = matrixOf(rows, sideBySide(rows, {floats(".query"), floats(".key"), floats(".value")}));
  const std::vector<double> expected = sideBySide(
      rows,
      {golden.doubles(name + ".dquery"), golden.doubles(name + ".dkey"), golden.doubles(name + ".dvalue")});
  const DeviceArray<float> logSumExp(backend, floats(".logSumExp"));
  const DeviceArray<int32_t> offsets(backend, {0, 5, 6, 17});
  const DeviceMatrix dQkv(backend, rows, qkv.columns);
  reserve(backend, rows, qkv.columns);
  ops.attentionBackward(DeviceMatrix(backend, qkv), DeviceMatrix(backend, matrixOf(rows, floats(".out"))),
                        logSumExp.data(), DeviceMatrix(backend, matrixOf(rows, floats(".dout"))), {4, 2, 8},
                        {offsets.data(), 3}, mask, 0.3535533905932738f, dQkv);
  expectGradient(dQkv.host().values, expected, "projections");
}

void attention() {
  withGolden([](Backend& backend, TrainingOps& ops, const GoldenArrays& golden) {
    attentionOf(backend, ops, golden, "attention.full", {0});
    attentionOf(backend, ops, golden, "attention.causal", {1});
  });
}

void route() {
  withGolden([](Backend& backend, TrainingOps& ops, const GoldenArrays& golden) {
    for (const bool normalise : {true, false}) {
      const std::string name = normalise ? "route.norm." : "route.plain.";
      const Scope scope(name);
      const DeviceArray<float> logits(backend, golden.floats(name + "logits"));
      const DeviceArray<float> weights(backend, golden.floats(name + "weights"));
      const DeviceArray<float> dWeights(backend, golden.floats(name + "dweights"));
      const DeviceArray<int32_t> ids(backend, golden.integers(name + "ids"));
      Dispatch dispatch;
      dispatch.rows = 9;
      dispatch.experts = 6;
      dispatch.expertsPerToken = 3;
      dispatch.routerLogits = logits.data();
      dispatch.weights = weights.data();
      dispatch.expertIds = ids.data();
      RouteOptions options;
      options.expertsPerToken = 3;
      options.normalise = normalise;
      const DeviceMatrix dLogits(backend, 9, 6);
      ops.routeBackward(dispatch, options, dWeights.data(), {}, dLogits);
      Matrix gradient = dLogits.host();
      expectGradient(gradient.values, golden.doubles(name + "dlogits_of_weights"), "logits");
      const std::vector<float> above = golden.floats(name + "dlogits_above");
      for (size_t i = 0; i < above.size(); ++i) gradient.values[i] += above[i];
      const DeviceArray<float> router(backend, golden.floats(name + "router"));
      const Weight weight = weightOf(router, 6, 10);
      const GradientArray dRouter(backend, 60);
      float* const wanted = dRouter.data();
      const DeviceMatrix dx(backend, 9, 10);
      Tensor dxTensor = dx;
      ops.matmulBackward(DeviceMatrix(backend, golden.matrix(name + "x", 9, 10)), {&weight, 1},
                         DeviceMatrix(backend, gradient), &dxTensor, false, {&wanted, 1});
      expectGradient(dx.host().values, golden.doubles(name + "dx"), "dx");
      expectGradient(dRouter.added(), golden.doubles(name + "drouter"), "router");
    }
  });
}

void experts() {
  withGolden([](Backend& backend, TrainingOps& ops, const GoldenArrays& golden) {
    constexpr int64_t rows = 8, hidden = 10, width = 7, count = 5, k = 2;
    const std::vector<int32_t> chosen{0, 1, 1, 4, 2, 0, 4, 2, 1, 0, 0, 4, 2, 1, 4, 0};
    std::vector<std::unique_ptr<DeviceArray<float>>> arrays;
    std::vector<std::unique_ptr<GradientArray>> sums;
    std::vector<std::string> names;
    std::vector<ExpertWeights> weights;
    std::vector<ExpertGradients> gradients;
    std::vector<int32_t> offsets{0}, order;
    for (int32_t expert = 0; expert < count; ++expert) {
      for (const char* part : {"gate", "up", "down"}) {
        names.push_back(text(part, expert));
        arrays.push_back(
            std::make_unique<DeviceArray<float>>(backend, golden.floats("experts." + names.back())));
        sums.push_back(std::make_unique<GradientArray>(backend, width * hidden));
      }
      const size_t at = arrays.size() - 3;
      weights.push_back({weightOf(*arrays[at], width, hidden), weightOf(*arrays[at + 1], width, hidden),
                         weightOf(*arrays[at + 2], hidden, width)});
      gradients.push_back({sums[at]->data(), sums[at + 1]->data(), sums[at + 2]->data()});
      for (int32_t slot = 0; slot < rows * k; ++slot)
        if (chosen[static_cast<size_t>(slot)] == expert) order.push_back(slot);
      offsets.push_back(static_cast<int32_t>(order.size()));
    }
    const DeviceArray<int32_t> ids(backend, chosen), starts(backend, offsets), slots(backend, order);
    const DeviceArray<float> factors(backend, golden.floats("experts.weights"));
    Dispatch dispatch;
    dispatch.rows = rows;
    dispatch.experts = count;
    dispatch.expertsPerToken = k;
    dispatch.expertIds = ids.data();
    dispatch.weights = factors.data();
    dispatch.offsets = starts.data();
    dispatch.slots = slots.data();
    reserve(backend, rows, hidden, count, k);
    const DeviceMatrix x(backend, golden.matrix("experts.x", rows, hidden));
    const DeviceMatrix gate(backend, rows * k, width), up(backend, rows * k, width);
    const DeviceMatrix out(backend, rows, hidden), dx(backend, Matrix(rows, hidden));
    const DeviceArray<float> dWeights(backend, static_cast<size_t>(rows * k));
    ops.experts(x, weights, dispatch, gate, up, out);
    expectGradient(out.host().values, golden.doubles("experts.out"), "forward");
    ops.expertsBackward(x, weights, dispatch, gate, up,
                        DeviceMatrix(backend, golden.matrix("experts.dout", rows, hidden)), dx,
                        dWeights.data(), gradients);
    expectGradient(dx.host().values, golden.doubles("experts.dx"), "dx");
    expectGradient(dWeights.host(), golden.doubles("experts.dweights"), "routing weights");
    for (size_t i = 0; i < sums.size(); ++i)
      expectGradient(sums[i]->added(), golden.doubles("experts.d" + names[i]), names[i]);
  });
}

void crossEntropy() {
  withGolden([](Backend& backend, TrainingOps& ops, const GoldenArrays& golden) {
    const DeviceArray<float> head(backend, golden.floats("crossEntropy.head"));
    const DeviceArray<float> weights(backend, golden.floats("crossEntropy.weights"));
    const DeviceArray<int32_t> rows(backend, {0, 1, 2, 3, 4, 5}), targets(backend, {0, 36, 5, 5, 17, 2});
    const GradientArray dHead(backend, 370);
    const DeviceMatrix dx(backend, 6, 10);
    Tensor dxTensor = dx;
    std::vector<double> found(6);
    reserve(backend, 6, 10);
    ops.crossEntropy(DeviceMatrix(backend, golden.matrix("crossEntropy.x", 6, 10)), weightOf(head, 37, 10),
                     {rows.data(), targets.data(), weights.data(), 6}, found.data(), &dxTensor, dHead.data());
    const std::vector<float> narrow(found.begin(), found.end());
    expectGradient(narrow, golden.doubles("crossEntropy.ce"), "cross entropies");
    expectGradient(dx.host().values, golden.doubles("crossEntropy.dx"), "dx");
    expectGradient(dHead.added(), golden.doubles("crossEntropy.dhead"), "head");
  });
}

void routerLosses() {
  withGolden([](Backend& backend, TrainingOps& ops, const GoldenArrays& golden) {
    constexpr int64_t rows = 9, count = 6, k = 2, layers = 2;
    for (const bool pooled : {true, false}) {
      const std::string name = pooled ? "routerLosses.pooled." : "routerLosses.layer.";
      const Scope scope(name);
      std::vector<double> chosen[layers];
      std::vector<float> logits[layers];
      for (int64_t layer = 0; layer < layers; ++layer) {
        logits[layer] = golden.floats(text(name, "logits", layer));
        chosen[layer].assign(count, 0);
        for (int64_t row = 0; row < rows; ++row) {
          std::vector<int64_t> order{0, 1, 2, 3, 4, 5};
          const float* values = logits[layer].data() + row * count;
          std::sort(order.begin(), order.end(), [&](int64_t a, int64_t b) { return values[a] > values[b]; });
          for (int64_t rank = 0; rank < k; ++rank)
            chosen[layer][static_cast<size_t>(order[static_cast<size_t>(rank)])] += 1;
        }
      }
      for (int64_t layer = 0; layer < layers; ++layer) {
        std::vector<float> balance(count);
        for (size_t expert = 0; expert < count; ++expert) {
          const double share =
              pooled ? (chosen[0][expert] + chosen[1][expert]) / layers : chosen[layer][expert];
          balance[expert] = static_cast<float>(count * share / rows / (layers * rows));
        }
        const std::vector<float> none(rows * k);
        const std::vector<int32_t> anyIds(rows * k);
        const DeviceArray<float> given(backend, logits[layer]), weights(backend, none),
            dWeights(backend, none);
        const DeviceArray<float> balances(backend, balance);
        const DeviceArray<int32_t> ids(backend, anyIds);
        Dispatch dispatch;
        dispatch.rows = rows;
        dispatch.experts = count;
        dispatch.expertsPerToken = k;
        dispatch.routerLogits = given.data();
        dispatch.weights = weights.data();
        dispatch.expertIds = ids.data();
        RouteOptions options;
        options.expertsPerToken = k;
        options.normalise = true;
        const DeviceMatrix dLogits(backend, rows, count);
        ops.routeBackward(dispatch, options, dWeights.data(), {balances.data(), 0}, dLogits);
        expectGradient(dLogits.host().values, golden.doubles(text(name, "daux", layer)), "load balance");
        ops.routeBackward(dispatch, options, dWeights.data(), {nullptr, 2.0f / (layers * rows)}, dLogits);
        expectGradient(dLogits.host().values, golden.doubles(text(name, "dz", layer)), "z-loss");
      }
    }
  });
}

/** Three tensors and five steps of given gradients: test/fixtures/training/adamw. */
void adamw() {
  struct Shape {
    const char* name;
    int64_t count;
    double learningRate, weightDecay;
  };
  const Shape shapes[] = {{"a", 15, 0.03, 0.1}, {"b", 7, 0.003, 0.0}, {"c", 4, 0.003, 0.1}};
  for (const bool clips : {true, false}) {
    const GoldenArrays golden(clips ? "training/adamw/plain-clip1" : "training/adamw/plain-noclip");
    const Scope scope(clips ? "clipped" : "not clipped");
    forEachTraining([&](Backend& backend, TrainingOps& ops) {
      std::vector<std::unique_ptr<DeviceArray<float>>> values, firsts, seconds;
      for (const Shape& shape : shapes) {
        const std::vector<float> zeros(static_cast<size_t>(shape.count));
        values.push_back(
            std::make_unique<DeviceArray<float>>(backend, golden.floats(text("param.", shape.name))));
        firsts.push_back(std::make_unique<DeviceArray<float>>(backend, zeros));
        seconds.push_back(std::make_unique<DeviceArray<float>>(backend, zeros));
      }
      for (int64_t step = 1; step <= 5; ++step) {
        const double rate = static_cast<double>(std::min<int64_t>(step, 3)) / 3;
        std::vector<std::unique_ptr<DeviceArray<float>>> gradients;
        std::vector<AdamTensor> tensors;
        double squares = 0;
        for (size_t i = 0; i < 3; ++i) {
          const Shape& shape = shapes[i];
          gradients.push_back(std::make_unique<DeviceArray<float>>(
              backend, golden.floats(text("step", step, ".grad.", shape.name))));
          squares += ops.squaredNorm({gradients[i]->data(), static_cast<size_t>(shape.count)});
          tensors.push_back({values[i]->data(), gradients[i]->data(), firsts[i]->data(), seconds[i]->data(),
                             shape.count, shape.learningRate * rate, shape.weightDecay});
        }
        AdamStep settings;
        settings.step = step;
        if (clips) settings.gradientScale = std::min(1.0, 1.0 / (std::sqrt(squares) + 1e-6));
        ops.adamw(tensors, settings);
        for (size_t i = 0; i < 3; ++i) {
          const auto check = [&](const DeviceArray<float>& actual, const char* what) {
            const std::string name = text("f64.step", step, ".", what, ".", shapes[i].name);
            expectGradient(actual.host(), golden.doubles(name), name);
          };
          check(*values[i], "param");
          check(*firsts[i], "m");
          check(*seconds[i], "v");
        }
      }
    });
  }
}

/** Epsilon is added to the root of the second moment: equal to it, it halves the first step. */
void adamwEpsilon() {
  forEachTraining([](Backend& backend, TrainingOps& ops) {
    const std::vector<float> zero{0.0f}, tiny{1e-8f};
    const DeviceArray<float> value(backend, zero), gradient(backend, tiny);
    const DeviceArray<float> first(backend, zero), second(backend, zero);
    const AdamTensor tensor{value.data(), gradient.data(), first.data(), second.data(), 1, 1.0, 0.0};
    ops.adamw({&tensor, 1}, AdamStep{});
    const std::vector<double> expected{-0.5};
    expectGradient(value.host(), expected, "value");
  });
}

const DeviceTests tests{{"training: golden AdamW", adamw},
                        {"training: epsilon of AdamW", adamwEpsilon},
                        {"training: golden embed", embed},
                        {"training: golden norms", rmsNorm},
                        {"training: golden products", matmul},
                        {"training: golden head norms and rotation", normRope},
                        {"training: golden attention", attention},
                        {"training: golden routers", route},
                        {"training: golden experts", experts},
                        {"training: golden cross entropy", crossEntropy},
                        {"training: golden losses of routers", routerLosses}};

}  // namespace
}  // namespace rnd1::test
