#include <algorithm>
#include <cstring>

#include "backend/cpu/cpu_backend.h"

namespace rnd1::cpu {
namespace {

/** Narrows values that the dtype holds exactly. */
void narrowExactly(DType dtype, const float* values, int64_t count, std::byte* out) {
  if (dtype == DType::f32) {
    std::memcpy(out, values, static_cast<size_t>(count) * sizeof(float));
    return;
  }
  auto* const narrow = reinterpret_cast<uint16_t*>(out);
  if (dtype == DType::bf16) {
    std::transform(values, values + count, narrow, floatToBf16);
  } else {
    std::transform(values, values + count, narrow, floatToF16);
  }
}

}  // namespace

void CpuBackend::cacheKeys(Tensor key, Tensor value, CanvasOffsets canvases, const int32_t* positions,
                           const LayerCaches& caches) {
  const auto elementSize = static_cast<int64_t>(dtypeSize(dtype_));
  const int64_t rowSize = key.columns * elementSize;
  for (int64_t canvas = 0; canvas < canvases.count; ++canvas) {
    const CanvasCache& cache = caches.canvases[canvas];
    if (!cache.data) continue;
    std::byte* const keys = caches.keys(cache, elementSize);
    std::byte* const values = keys + cache.positions * rowSize;
    const int64_t first = canvases.offsets[canvas];
    const int64_t rows = canvases.offsets[canvas + 1] - first;
    parallel(rows, 2 * rows * key.columns, [&](int64_t item, int) {
      const int64_t row = first + item;
      narrowExactly(dtype_, key.row(row), key.columns, keys + positions[row] * rowSize);
      narrowExactly(dtype_, value.row(row), key.columns, values + positions[row] * rowSize);
    });
  }
}

void CpuBackend::attention(Tensor query, Tensor key, Tensor value, const HeadLayout& layout,
                           const AttentionRows& given, AttentionMask mask, float scale, Tensor out,
                           float* logSumExp) {
  const int64_t group = layout.heads / layout.keyValueHeads;
  const auto elementSize = static_cast<int64_t>(dtypeSize(dtype_));
  for (int64_t canvas = 0; canvas < given.queries.count; ++canvas) {
    const int64_t firstQuery = given.queries.offsets[canvas];
    const int64_t rows = (given.queries.offsets[canvas + 1] - firstQuery) * group;
    AttentionBlock common;
    // The size of a column, in the format of the keys.
    int64_t columnSize = sizeof(float);
    const std::byte *firstKey, *firstValue;
    if (const CanvasCache cache = given.caches.canvases ? given.caches.canvases[canvas] : CanvasCache();
        cache.data) {
      columnSize = elementSize;
      firstKey = given.caches.keys(cache, elementSize);
      firstValue = firstKey + cache.positions * layout.keyValueColumns() * elementSize;
      common.keyStride = common.valueStride = layout.keyValueColumns();
      common.keyFormat = computeDtype_;
      common.keys = cache.keys;
    } else {
      const int64_t first = given.keys.offsets[canvas];
      firstKey = reinterpret_cast<const std::byte*>(key.row(first));
      firstValue = reinterpret_cast<const std::byte*>(value.row(first));
      common.keyStride = key.stride;
      common.valueStride = value.stride;
      common.keyFormat = formatF32;
      common.keys = given.keys.offsets[canvas + 1] - first;
    }
    common.queryStride = query.stride;
    common.group = group;
    common.headDim = layout.headDim;
    common.positions = given.positions + firstQuery;
    common.maskBlock = mask.block;
    common.scale = scale;
    common.computeDtype = computeDtype_;
    common.outStride = out.stride;
    common.logSumExpStride = layout.heads;
    const int64_t part = partOf(rows * layout.keyValueHeads, 4 * threads(), attentionRows);
    const int64_t parts = blocksOf(rows, part);
    parallel(parts * layout.keyValueHeads, 2 * rows * common.keys * layout.keyValueColumns(),
             [&](int64_t item, int thread) {
               const int64_t head = item / parts;
               const int64_t first = item % parts * part;
               const int64_t column = head * layout.headDim, queryColumn = column * group;
               AttentionBlock block = common;
               block.query = query.row(firstQuery) + queryColumn;
               block.key = firstKey + column * columnSize;
               block.value = firstValue + column * columnSize;
               block.first = first;
               block.count = std::min(part, rows - first);
               block.scratch = scratch_[thread].attention.data();
               block.out = out.row(firstQuery) + queryColumn;
               block.logSumExp = logSumExp ? logSumExp + firstQuery * layout.heads + head * group : nullptr;
               kernels_.attention(block);
             });
  }
}

}  // namespace rnd1::cpu
