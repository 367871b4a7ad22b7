#include "backend/cpu/training/cpu_training.h"

#include <algorithm>
#include <cstring>

namespace rnd1::cpu {

CpuTraining::CpuTraining(Backend& backend, const Kernels& kernels, ThreadPool& pool)
    : backend_(backend),
      kernels_(kernels),
      training_(*kernels.training),
      pool_(pool),
      scratch_(static_cast<size_t>(pool.threads())) {
  for (Scratch& scratch : scratch_) scratch.product.reserve(productScratch);
}

void CpuTraining::copy(Tensor x, Tensor out) {
  parallel(out.rows, out.rows * out.columns, [&](int64_t row, int) {
    std::memcpy(out.row(row), x.row(row), static_cast<size_t>(out.columns) * sizeof(float));
  });
}

void CpuTraining::clear(std::span<float> values) {
  constexpr int64_t part = 1 << 16;
  const auto count = static_cast<int64_t>(values.size());
  parallel(blocksOf(count, part), count, [&](int64_t item, int) {
    std::fill(values.data() + item * part, values.data() + std::min(count, (item + 1) * part), 0.0f);
  });
}

void CpuTraining::accumulate(std::span<const float> values, std::span<float> sums) {
  constexpr int64_t part = 1 << 14;
  const auto count = static_cast<int64_t>(sums.size());
  parallel(blocksOf(count, part), count, [&](int64_t item, int) {
    const int64_t first = item * part;
    kernels_.add(values.data() + first, std::min(part, count - first), sums.data() + first);
  });
}

void CpuTraining::addVector(const float* vector, Tensor out) {
  parallel(out.rows, out.rows * out.columns,
           [&](int64_t row, int) { kernels_.add(vector, out.columns, out.row(row)); });
}

void CpuTraining::addBlocks(const float* partial, int64_t blocks, int64_t stride, int64_t columns,
                            float* total) {
  for (int64_t block = 0; block < blocks; ++block)
    for (int64_t column = 0; column < columns; ++column) total[column] += partial[block * stride + column];
}

void CpuTraining::rmsNormBackward(Tensor residual, const Weight& scale, float epsilon, Tensor dout,
                                  Tensor dresidual, float* dScale) {
  const int64_t columns = residual.columns, blocks = blocksOf(residual.rows, normBlock);
  const auto* factors = reinterpret_cast<const float*>(scale.data);
  partial_.reserve(sizeProduct(blocks, columns));
  parallel(blocks, 12 * residual.rows * columns, [&](int64_t block, int) {
    float* sums = dScale ? partial_.data() + block * columns : nullptr;
    if (sums) std::fill_n(sums, columns, 0.0f);
    const int64_t end = std::min(residual.rows, (block + 1) * normBlock);
    for (int64_t row = block * normBlock; row < end; ++row)
      training_.normBackward(residual.row(row), factors, epsilon, dout.row(row), columns, dresidual.row(row),
                             sums);
  });
  if (dScale) addBlocks(partial_.data(), blocks, columns, columns, dScale);
}

void CpuTraining::normRopeBackward(Tensor before, const HeadLayout& layout, const HeadNorms& norms,
                                   const int32_t* positions, Tensor rotary, Tensor dQkv,
                                   const HeadNormGradients& gradients) {
  const int64_t headDim = layout.headDim, columns = layout.columns();
  const int64_t blocks = blocksOf(dQkv.rows, normBlock), stride = 2 * headDim + columns;
  const auto* queryScale = reinterpret_cast<const float*>(norms.queryNorm.data);
  const auto* keyScale = reinterpret_cast<const float*>(norms.keyNorm.data);
  partial_.reserve(sizeProduct(blocks, stride));
  parallel(blocks, 16 * dQkv.rows * columns, [&](int64_t block, int) {
    float* sums = partial_.data() + block * stride;
    std::fill_n(sums, stride, 0.0f);
    const int64_t end = std::min(dQkv.rows, (block + 1) * normBlock);
    for (int64_t row = block * normBlock; row < end; ++row) {
      for (int64_t head = 0; head < layout.heads + layout.keyValueHeads; ++head) {
        const bool isQuery = head < layout.heads;
        training_.headBackward(
            {headDim, rotary.columns / 2, norms.epsilon, isQuery ? queryScale : keyScale,
             queryScale ? before.row(row) + head * headDim : nullptr, rotary.row(positions[row]),
             dQkv.row(row) + head * headDim,
             (isQuery ? gradients.queryNorm : gradients.keyNorm) ? sums + (isQuery ? 0 : headDim) : nullptr});
      }
      if (gradients.bias) kernels_.add(dQkv.row(row), columns, sums + 2 * headDim);
    }
  });
  if (gradients.queryNorm) addBlocks(partial_.data(), blocks, stride, headDim, gradients.queryNorm);
  if (gradients.keyNorm) addBlocks(partial_.data() + headDim, blocks, stride, headDim, gradients.keyNorm);
  if (gradients.bias) addBlocks(partial_.data() + 2 * headDim, blocks, stride, columns, gradients.bias);
}

void CpuTraining::embedBackward(const int32_t* tokens, Tensor dout, float* dTable) {
  // An item owns columns of the table: rows of the same token are added in order.
  constexpr int64_t cacheLine = 16;
  const int64_t part = std::max(cacheLine, blocksOf(dout.columns, 2 * threads() * cacheLine) * cacheLine);
  parallel(blocksOf(dout.columns, part), dout.rows * dout.columns, [&](int64_t item, int) {
    const int64_t first = item * part, count = std::min(part, dout.columns - first);
    for (int64_t row = 0; row < dout.rows; ++row)
      kernels_.add(dout.row(row) + first, count, dTable + tokens[row] * dout.columns + first);
  });
}

void CpuTraining::scatterRows(Tensor x, const int32_t* rows, Tensor out) {
  const auto bytes = static_cast<size_t>(out.columns) * sizeof(float);
  parallel(out.rows, out.rows * out.columns, [&](int64_t row, int) {
    const int32_t* found = std::lower_bound(rows, rows + x.rows, static_cast<int32_t>(row));
    if (found != rows + x.rows && *found == row) {
      std::memcpy(out.row(row), x.row(found - rows), bytes);
    } else {
      std::memset(out.row(row), 0, bytes);
    }
  });
}

}  // namespace rnd1::cpu
