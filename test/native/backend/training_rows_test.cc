// Gradients of products, norms, rotary embedding, the embedding; the optimizer.
#include <cmath>
#include <numeric>

#include "training_support.h"

namespace rnd1::test {
namespace {

constexpr float epsilon = 1e-6f;

void matmulGradients() {
  forEachTraining([](Backend& backend, TrainingOps& ops) {
    Noise noise(31);
    for (const int64_t rows : {1, 7, 257, 700})
      for (const int64_t columns : {3, 24, 77})
        for (const bool adds : {false, true}) {
          const Scope scope(text(rows, " × ", columns, adds ? ", added" : ""));
          const std::vector<int64_t> outputs{29, 1, 14};
          const Matrix x = noise.matrix(rows, columns), dout = noise.matrix(rows, 44);
          std::vector<Matrix> values;
          std::vector<std::unique_ptr<DeviceArray<float>>> arrays;
          std::vector<Weight> weights;
          std::vector<std::unique_ptr<GradientArray>> gradients;
          std::vector<float*> wanted;
          for (const int64_t count : outputs) {
            values.push_back(noise.matrix(count, columns));
            arrays.push_back(std::make_unique<DeviceArray<float>>(backend, values.back().values));
            weights.push_back(weightOf(*arrays.back(), count, columns));
            gradients.push_back(std::make_unique<GradientArray>(backend, count * columns));
            wanted.push_back(gradients.back()->data());
          }
          wanted[1] = nullptr;
          const Matrix before = noise.matrix(rows, columns);
          const DeviceMatrix dx = adds ? DeviceMatrix(backend, before) : DeviceMatrix(backend, rows, columns);
          Tensor dxTensor = dx;
          ops.matmulBackward(DeviceMatrix(backend, x), weights, DeviceMatrix(backend, dout), &dxTensor, adds,
                             wanted);
          DoubleMatrix expected(rows, columns);
          if (adds) expected = DoubleMatrix(before);
          int64_t first = 0;
          for (size_t i = 0; i < outputs.size(); ++i) {
            DoubleMatrix dWeight(outputs[i], columns);
            for (int64_t row = 0; row < rows; ++row)
              for (int64_t output = 0; output < outputs[i]; ++output)
                for (int64_t column = 0; column < columns; ++column) {
                  expected.at(row, column) +=
                      static_cast<double>(dout.at(row, first + output)) * values[i].at(output, column);
                  dWeight.at(output, column) +=
                      static_cast<double>(dout.at(row, first + output)) * x.at(row, column);
                }
            if (wanted[i]) {
              for (double& value : dWeight.values) value += GradientArray::start;
              expectGradient(gradients[i]->host(), dWeight.values, text("weight ", i));
            } else {
              for (const float value : gradients[i]->host())
                expectEqual(value, GradientArray::start, "unwanted gradient");
            }
            first += outputs[i];
          }
          expectGradient(dx.host().values, expected.values, "dx");
        }
  });
}

void products() {
  forEachTraining([](Backend& backend, TrainingOps& ops) {
    Noise noise(30);
    for (const int64_t rows : {1, 7, 193, 400})
      for (const int64_t columns : {3, 24, 300})
        for (const int64_t outputs : {1, 29, 70}) {
          const Scope scope(text(rows, " × ", columns, ", ", outputs));
          const Matrix x = noise.matrix(rows, columns);
          const Matrix values[] = {noise.matrix(outputs, columns), noise.matrix(5, columns)};
          const DeviceArray<float> first(backend, values[0].values), second(backend, values[1].values);
          const Weight weights[] = {weightOf(first, outputs, columns), weightOf(second, 5, columns)};
          const DeviceMatrix out(backend, rows, outputs + 5);
          ops.matmul(DeviceMatrix(backend, x), weights, out);
          DoubleMatrix expected(rows, outputs + 5);
          for (int64_t row = 0; row < rows; ++row)
            for (int64_t output = 0; output < outputs + 5; ++output)
              for (int64_t column = 0; column < columns; ++column)
                expected.at(row, output) += static_cast<double>(x.at(row, column)) *
                                            (output < outputs ? values[0].at(output, column)
                                                              : values[1].at(output - outputs, column));
          const Matrix all = out.host();
          expectGradient(all.values, expected.values, "product");
          // A row alone has the same bits.
          Matrix last(1, columns);
          for (int64_t column = 0; column < columns; ++column) last.at(0, column) = x.at(rows - 1, column);
          const DeviceMatrix alone(backend, 1, outputs + 5);
          ops.matmul(DeviceMatrix(backend, last), weights, alone);
          const Matrix row = alone.host();
          for (int64_t output = 0; output < outputs + 5; ++output)
            expectEqual(row.at(0, output), all.at(rows - 1, output), text("output ", output));
        }
  });
}

/** Weights in bf16 give the bits of the same numbers in f32, in both directions. */
void halves() {
  forEachTraining([](Backend& backend, TrainingOps& ops) {
    Noise noise(34);
    for (const int64_t rows : {1, 7, 193})
      for (const int64_t columns : {3, 24, 300})
        for (const int64_t outputs : {1, 29, 70}) {
          const Scope scope(text(rows, " × ", columns, ", ", outputs));
          const DeviceMatrix x(backend, noise.matrix(rows, columns)),
              dout(backend, noise.matrix(rows, outputs));
          Matrix values = noise.matrix(outputs, columns);
          const DeviceArray<float> given(backend, values.values);
          const DeviceArray<uint16_t> narrow(backend, std::vector<uint16_t>(values.values.size()));
          ops.narrow({given.data(), values.values.size()}, narrow.data());
          for (float& value : values.values) value = bf16ToFloat(floatToBf16(value));
          const DeviceArray<float> wide(backend, values.values);
          const auto results = [&](const Weight& weight) {
            const DeviceMatrix out(backend, rows, outputs), dx(backend, rows, columns);
            Tensor dxTensor = dx;
            float* const unwanted = nullptr;
            ops.matmul(x, {&weight, 1}, out);
            ops.matmulBackward(x, {&weight, 1}, dout, &dxTensor, false, {&unwanted, 1});
            return std::pair{out.host().values, dx.host().values};
          };
          const auto actual = results(Weight(narrow.data(), DType::bf16, outputs, columns));
          expect(actual == results(weightOf(wide, outputs, columns)), "other bits than with widened weights");
        }
  });
}

void narrowing() {
  forEachTraining([](Backend& backend, TrainingOps& ops) {
    Noise noise(35);
    std::vector<float> values = noise.normals(70'001);
    const float special[] = {0.0f,   -0.0f,    1.00390625f, 1.01171875f, 3.4e38f,
                             1e-40f, INFINITY, -INFINITY,   NAN};
    std::copy(std::begin(special), std::end(special), values.begin() + 40);
    const DeviceArray<float> given(backend, values);
    const DeviceArray<uint16_t> out(backend, std::vector<uint16_t>(values.size()));
    ops.narrow({given.data(), values.size()}, out.data());
    const std::vector<uint16_t> actual = out.host();
    for (size_t i = 0; i < values.size(); ++i) {
      if (std::isnan(values[i])) {
        expect(std::isnan(bf16ToFloat(actual[i])), "NaN");
      } else {
        expectEqual(actual[i], floatToBf16(values[i]), text(values[i]));
      }
    }
  });
}

double rmsNormed(const double* x, const double* scale, int64_t columns, const double* dout) {
  double squares = 0, sum = 0;
  for (int64_t i = 0; i < columns; ++i) squares += x[i] * x[i];
  const double factor = 1 / std::sqrt(squares / static_cast<double>(columns) + epsilon);
  for (int64_t i = 0; i < columns; ++i) sum += x[i] * factor * scale[i] * dout[i];
  return sum;
}

void normGradients() {
  forEachTraining([](Backend& backend, TrainingOps& ops) {
    Noise noise(32);
    for (const int64_t rows : {1, 66})
      for (const int64_t columns : {1, 33}) {
        const Scope scope(text(rows, " × ", columns));
        const Matrix residual = noise.matrix(rows, columns), dout = noise.matrix(rows, columns);
        const Matrix above = noise.matrix(rows, columns);
        const std::vector<float> scale = noise.normals(static_cast<size_t>(columns));
        std::vector<double> x = widened(residual.values), w = widened(scale), d = widened(dout.values);
        const auto loss = [&] {
          double sum = 0;
          for (int64_t row = 0; row < rows; ++row)
            sum += rmsNormed(&x[static_cast<size_t>(row * columns)], w.data(), columns,
                             &d[static_cast<size_t>(row * columns)]);
          return sum;
        };
        std::vector<double> dx = derivatives(x, loss);
        for (size_t i = 0; i < dx.size(); ++i) dx[i] += above.values[i];
        const DeviceMatrix dresidual(backend, above);
        const DeviceArray<float> scales(backend, scale);
        const GradientArray dScale(backend, columns);
        ops.rmsNormBackward(DeviceMatrix(backend, residual), weightOf(scales, 1, columns), epsilon,
                            DeviceMatrix(backend, dout), dresidual, dScale.data());
        expectGradient(dresidual.host().values, dx, "residual");
        std::vector<double> dw = derivatives(w, loss);
        for (double& value : dw) value += GradientArray::start;
        expectGradient(dScale.host(), dw, "scale");
      }
  });
}

struct NormRopeCase {
  bool bias, norms;
  int64_t rotaryColumns;
};

void normRopeGradients() {
  forEachTraining([](Backend& backend, TrainingOps& ops) {
    Noise noise(33);
    const HeadLayout layout{4, 2, 10};
    constexpr int64_t rows = 67;
    const int64_t columns = layout.columns(), rotated = layout.queryColumns() + layout.keyValueColumns();
    for (const auto& [bias, norms, rotaryColumns] :
         {NormRopeCase{false, true, 10}, {true, false, 10}, {true, true, 4}, {false, false, 6}}) {
      const Scope scope(text(bias ? "bias " : "", norms ? "norms " : "", rotaryColumns, " rotated"));
      const Matrix qkv = noise.matrix(rows, columns), dout = noise.matrix(rows, columns);
      const Matrix rotary = oracle::rotary(rows, rotaryColumns, 100);
      std::vector<int32_t> positions(rows);
      for (int32_t& position : positions) position = static_cast<int32_t>(noise.below(rows));
      std::vector<double> x = widened(qkv.values), b = widened(noise.normals(static_cast<size_t>(columns)));
      std::vector<double> scales[2] = {widened(noise.normals(10)), widened(noise.normals(10))};
      if (!bias) std::fill(b.begin(), b.end(), 0.0);
      // Values in f32, so that the op reads the same.
      for (double& value : b) value = static_cast<float>(value);
      const auto lossOfRow = [&](int64_t row) {
        double sum = 0;
        std::vector<double> head(10);
        const auto at = [&](int64_t column) {
          return x[static_cast<size_t>(row * columns + column)] + b[static_cast<size_t>(column)];
        };
        for (int64_t h = 0; h < layout.heads + layout.keyValueHeads; ++h) {
          double squares = 0;
          for (int64_t i = 0; i < 10; ++i) squares += at(h * 10 + i) * at(h * 10 + i);
          const double factor = norms ? 1 / std::sqrt(squares / 10 + epsilon) : 1;
          for (int64_t i = 0; i < 10; ++i)
            head[static_cast<size_t>(i)] =
                at(h * 10 + i) * factor *
                (norms ? scales[h < layout.heads ? 0 : 1][static_cast<size_t>(i)] : 1);
          const int64_t half = rotaryColumns / 2;
          const float* angles = rotary.row(positions[static_cast<size_t>(row)]);
          for (int64_t i = 0; i < half; ++i) {
            double& low = head[static_cast<size_t>(i)];
            double& high = head[static_cast<size_t>(half + i)];
            const double turned = low * angles[i] - high * angles[half + i];
            high = high * angles[i] + low * angles[half + i];
            low = turned;
          }
          for (int64_t i = 0; i < 10; ++i) sum += head[static_cast<size_t>(i)] * dout.at(row, h * 10 + i);
        }
        for (int64_t column = rotated; column < columns; ++column) sum += at(column) * dout.at(row, column);
        return sum;
      };
      const auto loss = [&] {
        double sum = 0;
        for (int64_t row = 0; row < rows; ++row) sum += lossOfRow(row);
        return sum;
      };
      std::vector<double> dx;
      for (int64_t row = 0; row < rows; ++row) {
        const auto begin = x.begin() + row * columns;
        std::vector<double> values(begin, begin + columns);
        const std::vector<double> ofRow = derivatives(values, [&] {
          std::copy(values.begin(), values.end(), begin);
          const double value = lossOfRow(row);
          return value;
        });
        std::copy(qkv.row(row), qkv.row(row) + columns, begin);
        dx.insert(dx.end(), ofRow.begin(), ofRow.end());
      }
      Matrix before(rows, rotated);
      for (int64_t row = 0; row < rows; ++row)
        for (int64_t column = 0; column < rotated; ++column)
          before.at(row, column) = qkv.at(row, column) + static_cast<float>(b[static_cast<size_t>(column)]);
      const DeviceArray<float> queryScale(backend, {scales[0].begin(), scales[0].end()});
      const DeviceArray<float> keyScale(backend, {scales[1].begin(), scales[1].end()});
      HeadNorms given;
      given.epsilon = epsilon;
      if (norms) {
        given.queryNorm = weightOf(queryScale, 1, 10);
        given.keyNorm = weightOf(keyScale, 1, 10);
      }
      const GradientArray dBias(backend, columns), dQuery(backend, 10), dKey(backend, 10);
      const DeviceMatrix dQkv(backend, dout), angles(backend, rotary);
      const DeviceArray<int32_t> places(backend, positions);
      ops.normRopeBackward(
          DeviceMatrix(backend, before), layout, given, places.data(), angles, dQkv,
          {bias ? dBias.data() : nullptr, norms ? dQuery.data() : nullptr, norms ? dKey.data() : nullptr});
      expectGradient(dQkv.host().values, dx, "qkv");
      if (bias) expectGradient(dBias.added(), derivatives(b, loss), "bias");
      if (norms) {
        expectGradient(dQuery.added(), derivatives(scales[0], loss), "query norm");
        expectGradient(dKey.added(), derivatives(scales[1], loss), "key norm");
      }
    }
  });
}

void embedGradients() {
  forEachTraining([](Backend& backend, TrainingOps& ops) {
    Noise noise(34);
    const Matrix dout = noise.matrix(50, 35);
    std::vector<int32_t> tokens(50);
    for (int32_t& token : tokens) token = static_cast<int32_t>(noise.below(7));
    std::vector<float> expected(9 * 35, GradientArray::start);
    for (int64_t row = 0; row < 50; ++row)
      for (int64_t column = 0; column < 35; ++column)
        expected[static_cast<size_t>(tokens[static_cast<size_t>(row)] * 35 + column)] += dout.at(row, column);
    const GradientArray table(backend, 9 * 35);
    ops.embedBackward(DeviceArray<int32_t>(backend, tokens).data(), DeviceMatrix(backend, dout),
                      table.data());
    expectSameBits(table.host(), expected, "table");

    const std::vector<int32_t> rows{1, 4, 5, 50};
    const DeviceMatrix scattered(backend, 52, 35);
    const DeviceArray<int32_t> places(backend, rows);
    ops.scatterRows(DeviceMatrix(backend, rowRange(dout, 0, 4)), places.data(), scattered);
    Matrix whole(52, 35);
    for (int64_t i = 0; i < 4; ++i)
      std::copy(dout.row(i), dout.row(i) + 35, whole.row(rows[static_cast<size_t>(i)]));
    expectSameBits(scattered.host().values, whole.values, "scattered rows");
  });
}

void optimizerMatches() {
  forEachTraining([](Backend& backend, TrainingOps& ops) {
    Noise noise(35);
    constexpr size_t count = 70'001;
    const std::vector<float> value = noise.normals(count), gradient = noise.normals(count);
    const std::vector<float> first = noise.normals(count, 0.1f);
    std::vector<float> second = noise.normals(count, 0.1f);
    for (float& square : second) square *= square;
    double squares = 0;
    for (const float each : gradient) squares += static_cast<double>(each) * each;
    const DeviceArray<float> gradients(backend, gradient);
    const double norm = ops.squaredNorm({gradients.data(), count});
    expect(std::abs(norm - squares) < 1e-12 * squares, text("squared norm ", norm, ", expected ", squares));

    const AdamStep step{0.9, 0.95, 1e-8, 3, 0.5};
    const DeviceArray<float> values(backend, value), m(backend, first), v(backend, second);
    const DeviceArray<float> small(backend, std::vector<float>{1}), smallM(backend, std::vector<float>{0}),
        smallV(backend, std::vector<float>{0});
    const AdamTensor tensors[] = {{small.data(), gradients.data(), smallM.data(), smallV.data(), 1, 0, 0.1},
                                  {values.data(), gradients.data(), m.data(), v.data(), count, 1e-2, 0.1}};
    ops.adamw(tensors, step);
    std::vector<double> moved(count), firsts(count), seconds(count), actual(count);
    std::vector<float> change = values.host();
    for (size_t i = 0; i < count; ++i) {
      const double g = 0.5 * gradient[i];
      firsts[i] = 0.9 * first[i] + 0.1 * g;
      seconds[i] = 0.95 * second[i] + 0.05 * g * g;
      moved[i] = value[i] * (1 - 1e-3) - 1e-2 / (1 - std::pow(0.9, 3)) * firsts[i] /
                                             (std::sqrt(seconds[i] / (1 - std::pow(0.95, 3))) + 1e-8);
    }
    expectGradient(change, moved, "values");
    expectGradient(m.host(), firsts, "first moments");
    expectGradient(v.host(), seconds, "second moments");
    expectEqual(small.host()[0], 1.0f, "a value at learning rate 0");
  });
}

const DeviceTests tests{{"training: products", products},
                        {"training: products with weights in bf16", halves},
                        {"training: rounding to bf16", narrowing},
                        {"training: gradients of products", matmulGradients},
                        {"training: gradients of norms", normGradients},
                        {"training: gradients of head norms and rotation", normRopeGradients},
                        {"training: gradient of the embedding", embedGradients},
                        {"training: AdamW and squared norm", optimizerMatches}};

}  // namespace
}  // namespace rnd1::test
