#include <algorithm>

#include "backend/cpu/cpu_backend.h"

namespace rnd1::cpu {

void CpuBackend::attention(Tensor query, Tensor key, Tensor value, const HeadLayout& layout,
                           CanvasOffsets queryOffsets, CanvasOffsets keyOffsets, AttentionMask mask,
                           float scale, Tensor out, float* logSumExp) {
  const int64_t group = layout.heads / layout.keyValueHeads;
  for (int64_t canvas = 0; canvas < queryOffsets.count; ++canvas) {
    const int64_t firstQuery = queryOffsets.offsets[canvas];
    const int64_t rows = (queryOffsets.offsets[canvas + 1] - firstQuery) * group;
    const int64_t firstKey = keyOffsets.offsets[canvas];
    const int64_t keys = keyOffsets.offsets[canvas + 1] - firstKey;
    const int64_t part = partOf(rows * layout.keyValueHeads, 4 * threads(), attentionRows);
    const int64_t parts = blocksOf(rows, part);
    parallel(parts * layout.keyValueHeads, 2 * rows * keys * layout.keyValueColumns(),
             [&](int64_t item, int thread) {
               const int64_t head = item / parts;
               const int64_t first = item % parts * part;
               const int64_t column = head * layout.headDim, queryColumn = column * group;
               AttentionBlock block;
               block.query = query.row(firstQuery) + queryColumn;
               block.key = key.row(firstKey) + column;
               block.value = value.row(firstKey) + column;
               block.queryStride = query.stride;
               block.keyStride = key.stride;
               block.valueStride = value.stride;
               block.group = group;
               block.headDim = layout.headDim;
               block.keys = keys;
               block.position = keys - rows / group;
               block.maskBlock = mask.block;
               block.first = first;
               block.count = std::min(part, rows - first);
               block.scale = scale;
               block.computeDtype = computeDtype_;
               block.scratch = scratch_[thread].attention.data();
               block.out = out.row(firstQuery) + queryColumn;
               block.outStride = out.stride;
               block.logSumExp = logSumExp ? logSumExp + firstQuery * layout.heads + head * group : nullptr;
               block.logSumExpStride = layout.heads;
               kernels_.attention(block);
             });
  }
}

}  // namespace rnd1::cpu
