#include "backend/cpu/cpu_backend.h"

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <new>

#include "core/error.h"

namespace rnd1::cpu {
namespace {

/** Never shrinks. */
template <typename T>
void grow(std::vector<T>& buffer, int64_t count) {
  if (static_cast<int64_t>(buffer.size()) < count) buffer.resize(static_cast<size_t>(count));
}

}  // namespace

CpuBackend::CpuBackend(DType dtype, int threads, const Kernels& kernels)
    : kernels_(kernels),
      dtype_(dtype),
      arithmetic_(static_cast<uint8_t>(dtype)),
      pool_(threads),
      scratch_(static_cast<size_t>(threads)) {}

void* CpuBackend::allocate(size_t bytes) {
  constexpr size_t alignment = 64;
  void* memory = std::aligned_alloc(
      alignment, std::max<size_t>((bytes + alignment - 1) / alignment * alignment, alignment));
  if (!memory)
    throw Error(ErrorCode::outOfMemory,
                "cannot allocate " + std::to_string(bytes) + " bytes for the workspace");
  return memory;
}

void CpuBackend::release(void* memory) noexcept { std::free(memory); }

void CpuBackend::upload(void* destination, const void* host, size_t bytes) {
  if (bytes > 0) std::memcpy(destination, host, bytes);
}

void CpuBackend::download(void* host, const void* source, size_t bytes) {
  if (bytes > 0) std::memcpy(host, source, bytes);
}

Weight CpuBackend::place(const Weight& mapped) {
  if (mapped.quantized() && !quantized_)
    quantized_ = std::make_unique<QuantizedProducts>(pool_, quantizedKernels(kernels_.name));
  return mapped;
}

void CpuBackend::reserve(const Limits& limits) {
  if (quantized_) quantized_->reserve(limits);
  for (auto& scratch : scratch_) {
    grow(scratch.weights, columnBlock * limits.innerColumns);
    grow(scratch.products, 2 * limits.rows * columnBlock);
    grow(scratch.attention, queryBlock * (keyBlock + limits.headDim + 2 * 16));
    if (limits.filters) scratch.sampler.reserve(limits.vocabulary);
  }
  const int64_t vector = std::max(limits.innerColumns, limits.headDim);
  grow(firstVector_, vector);
  grow(secondVector_, vector);
  grow(logitsChunk_, std::min(limits.scoredRows, scoreChunkRows(limits.vocabulary)) * limits.vocabulary);
  selector_.reserve(limits.scoredRows);
}

CpuBackend::WeightBlock CpuBackend::widened(const Weight& weight, int64_t first, int64_t count,
                                            float* scratch) const {
  const std::byte* source = weight.data + first * weight.strideBytes;
  const bool inPlace = weight.dtype == DType::f32 && dtype_ == DType::f32 &&
                       reinterpret_cast<uintptr_t>(source) % alignof(float) == 0 &&
                       weight.strideBytes % 4 == 0;
  if (inPlace) return {reinterpret_cast<const float*>(source), weight.strideBytes / 4};
  for (int64_t row = 0; row < count; ++row)
    kernels_.widen(source + row * weight.strideBytes, static_cast<uint8_t>(weight.dtype), arithmetic_,
                   weight.columns, scratch + row * weight.columns);
  return {scratch, weight.columns};
}

const float* CpuBackend::widenedVector(const Weight& weight, std::vector<float>& buffer) const {
  kernels_.widen(weight.data, static_cast<uint8_t>(weight.dtype), formatF32, weight.columns, buffer.data());
  return buffer.data();
}

void CpuBackend::embed(const int32_t* tokens, const Weight& table, Tensor out) {
  parallel(out.rows, out.rows * out.columns, [&](int64_t row, int) {
    kernels_.widen(table.data + tokens[row] * table.strideBytes, static_cast<uint8_t>(table.dtype), formatF32,
                   out.columns, out.row(row));
  });
}

void CpuBackend::addRmsNorm(Tensor residual, const Tensor* delta, const Weight& scale, float epsilon,
                            Tensor out) {
  const float* factors = widenedVector(scale, firstVector_);
  parallel(residual.rows, 4 * residual.rows * residual.columns, [&](int64_t row, int) {
    kernels_.addRmsNorm(residual.row(row), delta ? delta->row(row) : nullptr, factors, epsilon,
                        residual.columns, arithmetic_, out.row(row));
  });
}

void CpuBackend::matmul(Tensor x, std::span<const Weight> weights, Tensor out) {
  if (weights[0].quantized()) return quantized_->matmul(x, weights, out);
  int64_t blocks = 0;
  for (const Weight& weight : weights) blocks += blocksOf(weight.rows);
  const RowSource rows{x.data, x.stride, nullptr, 1};
  parallel(blocks, x.rows * x.columns * out.columns, [&](int64_t block, int thread) {
    int64_t column = 0;
    for (const Weight& weight : weights) {
      if (block < blocksOf(weight.rows)) {
        const int64_t first = block * columnBlock;
        const int64_t count = std::min(columnBlock, weight.rows - first);
        const WeightBlock f32 = widened(weight, first, count, scratch_[thread].weights.data());
        kernels_.dotBlock(rows, x.rows, f32.data, f32.stride, count, x.columns, out.data + column + first,
                          out.stride);
        return;
      }
      block -= blocksOf(weight.rows);
      column += weight.rows;
    }
  });
}

void CpuBackend::normRope(Tensor qkv, const HeadLayout& layout, const Weight& queryNorm,
                          const Weight& keyNorm, float epsilon, const int32_t* positions, Tensor rotary) {
  const float* queryScale = widenedVector(queryNorm, firstVector_);
  const float* keyScale = widenedVector(keyNorm, secondVector_);
  const int64_t half = layout.headDim / 2;
  parallel(qkv.rows, 8 * qkv.rows * qkv.columns, [&](int64_t row, int) {
    const float* cosines = rotary.row(positions[row]);
    float* head = qkv.row(row);
    for (int64_t i = 0; i < layout.heads + layout.keyValueHeads; ++i, head += layout.headDim)
      kernels_.normRopeHead(head, i < layout.heads ? queryScale : keyScale, epsilon, cosines, cosines + half,
                            half, arithmetic_);
    kernels_.round(arithmetic_, layout.keyValueColumns(), head);
  });
}

void CpuBackend::attention(Tensor query, Tensor key, Tensor value, const HeadLayout& layout,
                           CanvasOffsets queryOffsets, CanvasOffsets keyOffsets, AttentionMask, float scale,
                           Tensor out, float* logSumExp) {
  const int64_t group = layout.heads / layout.keyValueHeads;
  for (int64_t canvas = 0; canvas < queryOffsets.count; ++canvas) {
    const int64_t firstQuery = queryOffsets.offsets[canvas];
    const int64_t queries = queryOffsets.offsets[canvas + 1] - firstQuery;
    const int64_t firstKey = keyOffsets.offsets[canvas];
    const int64_t keys = keyOffsets.offsets[canvas + 1] - firstKey;
    const int64_t blocks = (queries + queryBlock - 1) / queryBlock;
    parallel(
        blocks * layout.heads, 2 * queries * keys * layout.queryColumns(), [&](int64_t item, int thread) {
          // Neighbouring items share a key/value head, which then stays in the cache.
          const int64_t head = item / blocks;
          const int64_t first = item % blocks * queryBlock;
          const int64_t keyColumn = head / group * layout.headDim;
          kernels_.attentionBlock(
              query.row(firstQuery + first) + head * layout.headDim, query.stride,
              std::min(queryBlock, queries - first), key.row(firstKey) + keyColumn,
              value.row(firstKey) + keyColumn, key.stride, value.stride, keys, layout.headDim, scale,
              arithmetic_, scratch_[thread].attention.data(),
              out.row(firstQuery + first) + head * layout.headDim, out.stride,
              logSumExp ? logSumExp + (firstQuery + first) * layout.heads + head : nullptr, layout.heads);
        });
  }
}

void CpuBackend::gatherRows(Tensor x, const int32_t* rows, Tensor out) {
  parallel(out.rows, out.rows * out.columns, [&](int64_t row, int) {
    std::memcpy(out.row(row), x.row(rows[row]), static_cast<size_t>(out.columns) * sizeof(float));
  });
}

void CpuBackend::logits(Tensor x, const Weight& head, Tensor out) { matmul(x, {&head, 1}, out); }

}  // namespace rnd1::cpu
