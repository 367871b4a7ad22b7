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
  const CanvasOffsets queries = given.queries;
  const auto rowsOf = [&](int64_t canvas) {
    return (queries.offsets[canvas + 1] - queries.offsets[canvas]) * group;
  };
  const auto keysOf = [&](int64_t canvas) -> int64_t {
    const CanvasCache* cache = given.caches.canvases ? &given.caches.canvases[canvas] : nullptr;
    return cache && cache->data ? cache->keys : given.keys.offsets[canvas + 1] - given.keys.offsets[canvas];
  };
  const int64_t atLeast = blocksOf(4 * threads(), std::max<int64_t>(queries.count, 1));
  const auto partOfCanvas = [&](int64_t canvas) {
    return partOf(rowsOf(canvas) * layout.keyValueHeads, atLeast, attentionRows);
  };
  const auto itemsOf = [&](int64_t canvas) {
    return blocksOf(rowsOf(canvas), partOfCanvas(canvas)) * layout.keyValueHeads;
  };
  int64_t items = 0, operations = 0;
  for (int64_t canvas = 0; canvas < queries.count; ++canvas) {
    items += itemsOf(canvas);
    operations += 2 * rowsOf(canvas) * keysOf(canvas) * layout.keyValueColumns();
  }
  // Items are parts of a canvas's rows for one head of keys, numbered canvas by canvas.
  parallel(items, operations, [&](int64_t item, int thread) {
    int64_t canvas = 0;
    for (int64_t count; item >= (count = itemsOf(canvas)); ++canvas) item -= count;
    const int64_t firstQuery = queries.offsets[canvas], rows = rowsOf(canvas);
    const int64_t part = partOfCanvas(canvas), parts = blocksOf(rows, part);
    const int64_t head = item / parts, first = item % parts * part;
    const int64_t column = head * layout.headDim, queryColumn = column * group;
    AttentionBlock block;
    // The size of a column, in the format of the keys.
    int64_t columnSize = sizeof(float);
    const std::byte *firstKey, *firstValue;
    if (const CanvasCache cache = given.caches.canvases ? given.caches.canvases[canvas] : CanvasCache();
        cache.data) {
      columnSize = elementSize;
      firstKey = given.caches.keys(cache, elementSize);
      firstValue = firstKey + cache.positions * layout.keyValueColumns() * elementSize;
      block.keyStride = block.valueStride = layout.keyValueColumns();
      block.keyFormat = computeDtype_;
    } else {
      const int64_t firstKeyRow = given.keys.offsets[canvas];
      firstKey = reinterpret_cast<const std::byte*>(key.row(firstKeyRow));
      firstValue = reinterpret_cast<const std::byte*>(value.row(firstKeyRow));
      block.keyStride = key.stride;
      block.valueStride = value.stride;
      block.keyFormat = formatF32;
    }
    block.query = query.row(firstQuery) + queryColumn;
    block.queryStride = query.stride;
    block.key = firstKey + column * columnSize;
    block.value = firstValue + column * columnSize;
    block.keys = keysOf(canvas);
    block.group = group;
    block.headDim = layout.headDim;
    block.first = first;
    block.count = std::min(part, rows - first);
    block.positions = given.positions + firstQuery;
    block.maskBlock = mask.block;
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

}  // namespace rnd1::cpu
