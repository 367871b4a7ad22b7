#include <algorithm>
#include <cmath>

#include "backend/cpu/training/cpu_training.h"

namespace rnd1::cpu {
namespace {

// Elements that one item takes, and whose squares are summed at a time.
constexpr int64_t optimizerBlock = 1 << 16;

}  // namespace

double CpuTraining::squaredNorm(std::span<const float> values) {
  const auto count = static_cast<int64_t>(values.size());
  const int64_t blocks = blocksOf(count, optimizerBlock);
  partialDoubles_.reserve(blocks);
  parallel(blocks, count, [&](int64_t block, int) {
    const int64_t first = block * optimizerBlock;
    partialDoubles_.data()[block] =
        training_.squaredNorm(values.data() + first, std::min(optimizerBlock, count - first));
  });
  double sum = 0;
  for (int64_t block = 0; block < blocks; ++block) sum += partialDoubles_.data()[block];
  return sum;
}

void CpuTraining::narrow(std::span<const float> values, uint16_t* out) {
  const auto count = static_cast<int64_t>(values.size());
  parallel(blocksOf(count, optimizerBlock), count, [&](int64_t block, int) {
    const int64_t first = block * optimizerBlock;
    kernels_.narrow(values.data() + first, formatF32, formatBf16, std::min(optimizerBlock, count - first),
                    out + first);
  });
}

void CpuTraining::adamw(std::span<const AdamTensor> tensors, const AdamStep& step) {
  const auto exponent = static_cast<double>(step.step);
  const double first = 1 - std::pow(step.beta1, exponent), second = 1 - std::pow(step.beta2, exponent);
  int64_t items = 0, elements = 0;
  for (const AdamTensor& tensor : tensors) {
    items += blocksOf(tensor.count, optimizerBlock);
    elements += tensor.count;
  }
  parallel(items, 8 * elements, [&](int64_t item, int) {
    const AdamTensor* tensor = tensors.data();
    for (; item >= blocksOf(tensor->count, optimizerBlock); ++tensor)
      item -= blocksOf(tensor->count, optimizerBlock);
    const AdamRates rates{static_cast<float>(step.gradientScale),
                          static_cast<float>(step.beta1),
                          static_cast<float>(step.beta2),
                          static_cast<float>(step.epsilon),
                          static_cast<float>(1 - tensor->learningRate * tensor->weightDecay),
                          static_cast<float>(tensor->learningRate / first),
                          static_cast<float>(1 / std::sqrt(second))};
    const int64_t begin = item * optimizerBlock;
    training_.adamw(rates, std::min(optimizerBlock, tensor->count - begin), tensor->gradient + begin,
                    tensor->value + begin, tensor->first + begin, tensor->second + begin);
  });
}

}  // namespace rnd1::cpu
