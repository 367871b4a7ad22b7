#include "backend/cpu/cpu_backend.h"

#if defined(__linux__)
#include <sys/mman.h>
#endif

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <new>

#include "core/error.h"
#include "io/numa.h"

namespace rnd1::cpu {
namespace {

/** Requests large pages, if available: fewer TLB misses and longer hardware prefetch streams. */
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
  if (large) {
    useLargePages(memory, bytes);
    interleaveOnNuma(memory, bytes);
  }
  return memory;
}

CpuBackend::CpuBackend(DType dtype, int threads, const Kernels& kernels, SimulatedThreads* simulated)
    : kernels_(kernels),
      dtype_(dtype),
      computeDtype_(static_cast<uint8_t>(dtype)),
      packs_((kernels.multipliesBf16 && dtype == DType::bf16) ||
             (kernels.multipliesF16 && dtype == DType::f16)),
      pool_(threads, simulated),
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
  if (mapped.dtype == DType::fp8)
    throw Error(ErrorCode::unsupportedModel, "weights in fp8 are for GPUs; load them as bf16, q8 or q4");
  if (mapped.quantized() && !quantized_)
    quantized_ = std::make_unique<QuantizedOps>(pool_, quantizedKernels(kernels_.name));
  return mapped;
}

TrainingOps* CpuBackend::training() {
  if (dtype_ != DType::f32) return nullptr;
  if (!training_) training_ = std::make_unique<CpuTraining>(*this, kernels_, pool_);
  return training_.get();
}

void CpuBackend::reserve(const Limits& limits) {
  if (quantized_) quantized_->reserve(limits);
  const int64_t scoredRows = std::min(limits.scoredRows, scoredAtOnce);
  for (auto& scratch : scratch_) {
    scratch.weights.reserve(2 * convertedColumns * limits.innerColumns * 4);
    scratch.rows.reserve(std::max(cachedRowBytes, tileMultiple * rowBytes(limits.innerColumns)));
    scratch.attention.reserve(attentionScratch(limits.headDim));
    scratch.logits.reserve(scoredRows * std::min(limits.vocabulary, statisticsColumns));
    scratch.selection.reserve(2 * limits.experts);
    if (limits.filters) scratch.sampler.reserve(limits.vocabulary);
  }
  firstVector_.reserve(std::max({limits.innerColumns, limits.headDim, limits.experts}));
  secondVector_.reserve(limits.headDim);
  thirdVector_.reserve(limits.biasColumns);
  if (packs_)
    packed_.reserve(
        std::max(sizeProduct(std::max(limits.rows, limits.scoredRows), rowBytes(limits.innerColumns)),
                 sizeProduct(limits.rows, limits.expertsPerToken, rowBytes(limits.expertWidth))));
  targets_.reserve(sizeProduct(limits.rows, limits.expertsPerToken));
  factors_.reserve(sizeProduct(limits.rows, limits.expertsPerToken));
  statistics_.reserve(sizeProduct(limits.scoredRows, blocksOf(limits.vocabulary, statisticsColumns)));
  if (limits.filters) reserveLogits(limits.scoredRows, limits.vocabulary);
  unmasker_.reserve(limits.scoredRows);
}

void CpuBackend::reserveLogits(int64_t rows, int64_t vocabulary) {
  logitsChunk_.reserve(std::min(rows, scoreChunkRows(vocabulary)) * vocabulary);
}

}  // namespace rnd1::cpu
