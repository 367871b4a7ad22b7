// AdamW, squared norms and rounding: memory-bound.
#include <cmath>

#include "backend/cuda/device/half.h"
#include "backend/cuda/device/reduce.h"
#include "backend/cuda/device/shared.h"
#include "backend/cuda/launch.h"
#include "backend/cuda/training/kernels.h"

namespace rnd1::cuda {
namespace {

constexpr int elementThreads = 256;

__global__ void __launch_bounds__(elementThreads)
    normKernel(const float* values, int64_t count, double* sums) {
  auto* scratch = reinterpret_cast<double*>(sharedMemory());  // (elementThreads / 32)
  const int64_t first = blockIdx.x * normElements, end = min(first + normElements, count);
  double sum = 0;
  for (int64_t i = first + threadIdx.x; i < end; i += elementThreads)
    sum += static_cast<double>(values[i]) * static_cast<double>(values[i]);
  sum = blockReduce<elementThreads>(sum, scratch, [](double a, double b) { return a + b; });
  if (threadIdx.x == 0) sums[blockIdx.x] = sum;
}

__global__ void __launch_bounds__(elementThreads)
    narrowValuesKernel(const float* values, int64_t count, uint16_t* out) {
  const int64_t i = int64_t{blockIdx.x} * elementThreads + threadIdx.x;
  if (i < count) out[i] = static_cast<uint16_t>(pack<DType::bf16>(values[i], 0));
}

/** AdamW's constants of one step and tensor. */
struct Rates {
  float gradientScale, beta1, beta2, epsilon;
  float keep;        // 1 − learning rate · weight decay
  float step;        // learning rate / (1 − β1^t)
  float correction;  // 1 / √(1 − β2^t)
};

__global__ void __launch_bounds__(elementThreads) adamwKernel(AdamTensor tensor, Rates rates) {
  const int64_t i = int64_t{blockIdx.x} * elementThreads + threadIdx.x;
  if (i >= tensor.count) return;
  const float g = tensor.gradient[i] * rates.gradientScale;
  const float m = rates.beta1 * tensor.first[i] + (1.0f - rates.beta1) * g;
  const float v = rates.beta2 * tensor.second[i] + (1.0f - rates.beta2) * (g * g);
  tensor.first[i] = m;
  tensor.second[i] = v;
  tensor.value[i] =
      tensor.value[i] * rates.keep - rates.step * (m / (sqrtf(v) * rates.correction + rates.epsilon));
}

}  // namespace

void squaredNorms(cudaStream_t stream, const float* values, int64_t count, double* sums) {
  launch(stream, "squared norm",
         {dim3(blocksFor(count, normElements)), elementThreads, elementThreads / 32 * sizeof(double)},
         normKernel, values, count, sums);
}

void narrowValues(cudaStream_t stream, const float* values, int64_t count, uint16_t* out) {
  if (count == 0) return;
  launch(stream, "narrow", {dim3(blocksFor(count, elementThreads)), elementThreads}, narrowValuesKernel,
         values, count, out);
}

void adamw(cudaStream_t stream, const AdamTensor& tensor, const AdamStep& step) {
  const auto exponent = static_cast<double>(step.step);
  const double first = 1 - std::pow(step.beta1, exponent), second = 1 - std::pow(step.beta2, exponent);
  const Rates rates{static_cast<float>(step.gradientScale),
                    static_cast<float>(step.beta1),
                    static_cast<float>(step.beta2),
                    static_cast<float>(step.epsilon),
                    static_cast<float>(1 - tensor.learningRate * tensor.weightDecay),
                    static_cast<float>(tensor.learningRate / first),
                    static_cast<float>(1 / std::sqrt(second))};
  launch(stream, "AdamW", {dim3(blocksFor(tensor.count, elementThreads)), elementThreads}, adamwKernel,
         tensor, rates);
}

}  // namespace rnd1::cuda
