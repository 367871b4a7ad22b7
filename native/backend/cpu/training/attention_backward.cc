// Gradients of queries, keys and values. An item owns one key head of one canvas with the query heads that
// share it, and therefore all that it writes.
#include <algorithm>

#include "backend/cpu/training/cpu_training.h"

namespace rnd1::cpu {
namespace {

constexpr int64_t queryRows = 64;

/** One item's operands; all strides are those of the rows. */
struct HeadGroup {
  const TrainingKernels& kernels;
  int64_t headDim, group, length;
  float scale;
  AttentionMask mask;
  Tensor query, key, value, out, dout, dQuery, dKey, dValue;  // of the canvas, first query head of the group
  const float* logSumExp;
  int64_t logSumExpStride;
  float *keys, *values;       // (headDim, keyBlock) transposed
  float *scores, *gradients;  // (queryRows, keyBlock)
  float* rowDots;             // (group, length)
  float* scratch;

  void multiply(int64_t rows, int64_t columns, int64_t steps, const float* a, int64_t aStride,
                bool transposed, const float* b, int64_t bStride, float* to, int64_t toStride,
                bool accumulates) const {
    kernels.product({.rows = rows,
                     .columns = columns,
                     .steps = steps,
                     .a = a,
                     .aStride = aStride,
                     .transposed = transposed,
                     .b = {b},
                     .bStride = bStride,
                     .out = to,
                     .outStride = toStride,
                     .accumulates = accumulates,
                     .packs = false,
                     .scratch = scratch});
  }

  /** Some keys and some queries of one head. */
  void block(int64_t head, int64_t firstQuery, int64_t queries, int64_t firstKey, int64_t count) const {
    const int64_t column = head * headDim, padded = blocksOf(count, widestVector) * widestVector;
    const float* q = query.row(firstQuery) + column;
    const float* dO = dout.row(firstQuery) + column;
    multiply(queries, padded, headDim, q, query.stride, false, keys, keyBlock, scores, keyBlock, false);
    multiply(queries, padded, headDim, dO, dout.stride, false, values, keyBlock, gradients, keyBlock, false);
    for (int64_t i = 0; i < queries; ++i) {
      const int64_t row = firstQuery + i;
      const int64_t visible =
          mask.visible(static_cast<int32_t>(row), static_cast<int32_t>(length)) - firstKey;
      kernels.attentionGradient({std::clamp<int64_t>(visible, 0, count), padded, scale,
                                 logSumExp[row * logSumExpStride + head], rowDots[head * length + row],
                                 scores + i * keyBlock, gradients + i * keyBlock});
    }
    multiply(count, headDim, queries, scores, keyBlock, true, dO, dout.stride, dValue.row(firstKey),
             dValue.stride, true);
    multiply(count, headDim, queries, gradients, keyBlock, true, q, query.stride, dKey.row(firstKey),
             dKey.stride, true);
    multiply(queries, headDim, count, gradients, keyBlock, false, key.row(firstKey), key.stride,
             dQuery.row(firstQuery) + column, dQuery.stride, true);
  }

  void run() const {
    for (int64_t row = 0; row < length; ++row) {
      std::fill_n(dQuery.row(row), group * headDim, 0.0f);
      std::fill_n(dKey.row(row), headDim, 0.0f);
      std::fill_n(dValue.row(row), headDim, 0.0f);
      for (int64_t head = 0; head < group; ++head)
        rowDots[head * length + row] =
            kernels.dot(dout.row(row) + head * headDim, out.row(row) + head * headDim, headDim);
    }
    for (int64_t firstKey = 0; firstKey < length; firstKey += keyBlock) {
      const int64_t count = std::min(keyBlock, length - firstKey);
      kernels.transposeRows(key.row(firstKey), key.stride, count, headDim, keys, keyBlock);
      kernels.transposeRows(value.row(firstKey), value.stride, count, headDim, values, keyBlock);
      for (int64_t head = 0; head < group; ++head)
        for (int64_t first = 0; first < length; first += queryRows) {
          const int64_t queries = std::min(queryRows, length - first);
          const auto last = static_cast<int32_t>(first + queries - 1);
          if (mask.visible(last, static_cast<int32_t>(length)) > firstKey)
            block(head, first, queries, firstKey, count);
        }
    }
  }
};

}  // namespace

void CpuTraining::attentionBackward(Tensor qkv, Tensor out, const float* logSumExp, Tensor dout,
                                    const HeadLayout& layout, CanvasOffsets canvases, AttentionMask mask,
                                    float scale, Tensor dQkv) {
  const int64_t headDim = layout.headDim, group = layout.heads / layout.keyValueHeads;
  int64_t longest = 0, pairs = 0;
  for (int64_t canvas = 0; canvas < canvases.count; ++canvas) {
    const int64_t length = canvases.offsets[canvas + 1] - canvases.offsets[canvas];
    longest = std::max(longest, length);
    pairs += length * length;
  }
  const int64_t transposed = headDim * keyBlock, tile = queryRows * keyBlock;
  for (Scratch& scratch : scratch_)
    scratch.attention.reserve(sizeSum(2 * (transposed + tile), sizeProduct(group, longest)));
  parallel(canvases.count * layout.keyValueHeads, 5 * pairs * layout.queryColumns(),
           [&](int64_t item, int thread) {
             const int64_t canvas = item / layout.keyValueHeads, head = item % layout.keyValueHeads;
             const int64_t first = canvases.offsets[canvas];
             const int64_t length = canvases.offsets[canvas + 1] - first;
             const int64_t queryColumn = head * group * headDim;
             const int64_t keyColumn = layout.queryColumns() + head * headDim;
             const int64_t valueColumn = keyColumn + layout.keyValueColumns();
             const auto part = [&](Tensor of, int64_t column, int64_t columns) {
               return of.rowRange(first, length).columnRange(column, columns);
             };
             float* memory = scratch_[thread].attention.data();
             const int64_t queryColumns = group * headDim;
             HeadGroup{training_,
                       headDim,
                       group,
                       length,
                       scale,
                       mask,
                       part(qkv, queryColumn, queryColumns),
                       part(qkv, keyColumn, headDim),
                       part(qkv, valueColumn, headDim),
                       part(out, queryColumn, queryColumns),
                       part(dout, queryColumn, queryColumns),
                       part(dQkv, queryColumn, queryColumns),
                       part(dQkv, keyColumn, headDim),
                       part(dQkv, valueColumn, headDim),
                       logSumExp + first * layout.heads + head * group,
                       layout.heads,
                       memory,
                       memory + transposed,
                       memory + 2 * transposed,
                       memory + 2 * transposed + tile,
                       memory + 2 * (transposed + tile),
                       scratch_[thread].product.data()}
                 .run();
           });
}

}  // namespace rnd1::cpu
