#include "backend/cpu/cpu_backend.h"

#if defined(__linux__)
#include <sys/mman.h>
#endif

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <new>

#include "core/error.h"

namespace rnd1::cpu {
namespace {

/** Fewer translations of addresses, and streams that go on for longer, where the system has such pages. */
void useLargePages([[maybe_unused]] void* memory, [[maybe_unused]] size_t bytes) {
#ifdef MADV_HUGEPAGE
  ::madvise(memory, bytes, MADV_HUGEPAGE);
#endif
}

}  // namespace

void* allocateAligned(size_t bytes) {
  constexpr size_t cacheLine = 64, largePage = 2 << 20;
  const bool large = bytes >= 8 * largePage;
  const size_t alignment = large ? largePage : cacheLine;
  void* memory = std::aligned_alloc(
      alignment, std::max<size_t>((bytes + alignment - 1) / alignment * alignment, alignment));
  if (!memory)
    throw Error(ErrorCode::outOfMemory,
                "cannot allocate " + std::to_string(bytes) + " bytes for the workspace");
  if (large) useLargePages(memory, bytes);
  return memory;
}

CpuBackend::CpuBackend(DType dtype, int threads, const Kernels& kernels)
    : kernels_(kernels),
      dtype_(dtype),
      arithmetic_(static_cast<uint8_t>(dtype)),
      packs_((kernels.multipliesBf16 && dtype == DType::bf16) ||
             (kernels.multipliesF16 && dtype == DType::f16)),
      pool_(threads),
      scratch_(static_cast<size_t>(threads)) {}

void* CpuBackend::allocate(size_t bytes) { return allocateAligned(bytes); }

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
  const int64_t scoredRows = std::min(limits.scoredRows, scoredAtOnce);
  for (auto& scratch : scratch_) {
    scratch.weights.reserve(2 * convertedColumns * limits.innerColumns * 4);
    scratch.rows.reserve(std::max(cachedBytes(), tileMultiple * rowBytes(limits.innerColumns)));
    scratch.attention.reserve(attentionScratch(limits.headDim));
    scratch.logits.reserve(scoredRows * std::min(limits.vocabulary, statisticsColumns));
    if (limits.filters) scratch.sampler.reserve(limits.vocabulary);
  }
  const int64_t vector = std::max(limits.innerColumns, limits.headDim);
  firstVector_.reserve(vector);
  secondVector_.reserve(vector);
  if (packs_)
    packed_.reserve(
        std::max(sizeProduct(std::max(limits.rows, limits.scoredRows), rowBytes(limits.innerColumns)),
                 sizeProduct(limits.rows, limits.expertsPerToken, rowBytes(limits.expertWidth))));
  targets_.reserve(sizeProduct(limits.rows, limits.expertsPerToken));
  factors_.reserve(sizeProduct(limits.rows, limits.expertsPerToken));
  statistics_.reserve(sizeProduct(limits.scoredRows, blocksOf(limits.vocabulary, statisticsColumns)));
  if (limits.filters) reserveLogits(limits.scoredRows, limits.vocabulary);
  selector_.reserve(limits.scoredRows);
}

void CpuBackend::reserveLogits(int64_t rows, int64_t vocabulary) {
  logitsChunk_.reserve(std::min(rows, scoreChunkRows(vocabulary)) * vocabulary);
}

const float* CpuBackend::widenedVector(const Weight& weight, Buffer<float>& buffer) const {
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
               block.first = first;
               block.count = std::min(part, rows - first);
               block.scale = scale;
               block.arithmetic = arithmetic_;
               block.scratch = scratch_[thread].attention.data();
               block.out = out.row(firstQuery) + queryColumn;
               block.outStride = out.stride;
               block.logSumExp = logSumExp ? logSumExp + firstQuery * layout.heads + head * group : nullptr;
               block.logSumExpStride = layout.heads;
               kernels_.attention(block);
             });
  }
}

void CpuBackend::gatherRows(Tensor x, const int32_t* rows, Tensor out) {
  parallel(out.rows, out.rows * out.columns, [&](int64_t row, int) {
    std::memcpy(out.row(row), x.row(rows[row]), static_cast<size_t>(out.columns) * sizeof(float));
  });
}

}  // namespace rnd1::cpu
