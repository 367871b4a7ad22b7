// Matmuls on the CPU: formats of rows and weights, and division of the work.
#include "backend/cpu/matmul.h"

namespace rnd1::cpu {
namespace {

// Output columns that one thread works on at a time.
constexpr int64_t matmulColumns = 96;

}  // namespace

RowSource CpuBackend::matmulRows(Tensor x) {
  if (!packs_) return {x.data, x.stride * 4, formatF32};
  const int64_t stride = rowBytes(x.columns);
  parallel(x.rows, x.rows * x.columns, [&](int64_t row, int) {
    kernels_.narrow(x.row(row), formatF32, computeDtype_, x.columns,
                    reinterpret_cast<uint16_t*>(packed_.data() + row * stride));
  });
  return {packed_.data(), stride, computeDtype_};
}

bool CpuBackend::usedInPlace(const Weight& weight) const {
  if (packs_) return weight.dtype == dtype_;
  if (weight.dtype == DType::f32) return dtype_ == DType::f32;
  // Kernels widen bf16.
  return weight.dtype == DType::bf16 && dtype_ != DType::f16;
}

WeightRows CpuBackend::weightRows(const Weight& weight, int64_t first, int64_t count, bool inPlace,
                                  std::byte* scratch) const {
  const std::byte* source = weight.data + first * weight.strideBytes;
  const auto format = static_cast<uint8_t>(weight.dtype);
  if (inPlace) return {source, weight.strideBytes, format};
  const int64_t bytes = weight.columns * (packs_ ? 2 : 4);
  for (int64_t row = 0; row < count; ++row, source += weight.strideBytes) {
    std::byte* target = scratch + row * bytes;
    if (packs_) {
      kernels_.narrow(source, format, computeDtype_, weight.columns, reinterpret_cast<uint16_t*>(target));
    } else {
      kernels_.widen(source, format, computeDtype_, weight.columns, reinterpret_cast<float*>(target));
    }
  }
  return {scratch, bytes, packs_ ? computeDtype_ : uint8_t{formatF32}};
}

int64_t CpuBackend::rowBlock(int64_t inner) const {
  return std::max(cachedRowBytes / rowBytes(inner) / tileMultiple, int64_t{1}) * tileMultiple;
}

void CpuBackend::multiplyBlock(const RowSource& x, int64_t rows, const Weight& weight, int64_t first,
                               int64_t columns, float* out, int64_t outStride, Scratch& scratch) const {
  forEachBlock(weight, rows, first, columns, scratch,
               [&](int64_t row, int64_t rowCount, int64_t column, int64_t count, const WeightRows& part) {
                 kernels_.multiply(rowsFrom(x, row), rowCount, part, count, weight.columns,
                                   out + row * outStride + column - first, outStride);
               });
}

void CpuBackend::matmul(Tensor x, std::span<const Weight> weights, Tensor out) {
  if (weights[0].quantized()) return quantized_->matmul(x, weights, out);
  const RowSource source = matmulRows(x);
  const int64_t columnPart = partOf(out.columns, 4 * threads(), matmulColumns);
  int64_t columnParts = 0;
  for (const Weight& weight : weights) columnParts += blocksOf(weight.rows, columnPart);
  // Parts that share rows are adjacent: the rows stay in the cache. Few columns, as of routers, are shared by
  // rows.
  const bool inPlace =
      std::all_of(weights.begin(), weights.end(), [&](const Weight& weight) { return usedInPlace(weight); });
  const int64_t rowPart = partOf(x.rows, blocksOf(4 * threads(), std::max<int64_t>(columnParts, 1)),
                                 inPlace ? rowBlock(x.columns) : x.rows);
  const int64_t rowParts = blocksOf(x.rows, rowPart);
  parallel(rowParts * columnParts, x.rows * x.columns * out.columns, [&](int64_t item, int thread) {
    const int64_t row = item / columnParts * rowPart;
    int64_t part = item % columnParts;
    int64_t column = 0;
    for (const Weight& weight : weights) {
      const int64_t parts = blocksOf(weight.rows, columnPart);
      if (part < parts) {
        const int64_t first = part * columnPart;
        multiplyBlock(rowsFrom(source, row), std::min(rowPart, x.rows - row), weight, first,
                      std::min(columnPart, weight.rows - first), out.row(row) + column + first, out.stride,
                      scratch_[thread]);
        return;
      }
      part -= parts;
      column += weight.rows;
    }
  });
}

void CpuBackend::logits(Tensor x, const Weight& lmHead, Tensor out) { matmul(x, {&lmHead, 1}, out); }

}  // namespace rnd1::cpu
