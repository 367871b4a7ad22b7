#pragma once

#include <functional>
#include <span>
#include <vector>

#include "backend/training_ops.h"
#include "backends.h"

/** Tests of the ops of training: f32 backends, and gradients of plain functions in float64. */
namespace rnd1::test {

/** body(backend, its ops) for every instruction set that trains. */
void forEachTraining(const std::function<void(Backend&, TrainingOps&)>& body, int threads = 2);

/** body(make) likewise, for tests that compare thread counts. */
void forEachTrainingFactory(const std::function<void(const BackendFactory&)>& body);

/** The derivative of `loss` by each of the values that it reads, by central differences. */
std::vector<double> derivatives(std::vector<double>& values, const std::function<double()>& loss);

inline std::vector<double> widened(std::span<const float> values) { return {values.begin(), values.end()}; }

/** NMSE of all values together within the tolerance of f32. */
void expectGradient(std::span<const float> actual, std::span<const double> expected, const std::string& what,
                    Location location = Location::current());

/** Values row by row. */
inline Matrix matrixOf(int64_t rows, std::vector<float> values) {
  Matrix result(rows, static_cast<int64_t>(values.size()) / rows);
  result.values = std::move(values);
  return result;
}

/** A weight of f32 in place. */
inline Weight weightOf(const DeviceArray<float>& values, int64_t rows, int64_t columns) {
  return Weight(values.data(), DType::f32, rows, columns);
}

/** A gradient that begins with `start` everywhere, since ops add to it. */
class GradientArray {
 public:
  static constexpr float start = 0.25f;

  GradientArray(Backend& backend, int64_t count)
      : array_(backend, std::vector<float>(static_cast<size_t>(count), start)) {}
  float* data() const { return array_.data(); }
  std::vector<float> host() const { return array_.host(); }
  /** Without the start. */
  std::vector<float> added() const {
    std::vector<float> values = array_.host();
    for (float& value : values) value -= start;
    return values;
  }

 private:
  DeviceArray<float> array_;
};

/** Starts of canvases of these lengths. */
inline std::vector<int32_t> offsetsOf(std::span<const int32_t> lengths) {
  std::vector<int32_t> offsets{0};
  for (const int32_t length : lengths) offsets.push_back(offsets.back() + length);
  return offsets;
}

}  // namespace rnd1::test
