// Row-wise ops: embedding, norms with rotary embedding, gathering of rows.
#include <cstring>

#include "backend/cpu/cpu_backend.h"

namespace rnd1::cpu {

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
                        residual.columns, computeDtype_, out.row(row));
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
                            half, computeDtype_);
    kernels_.round(computeDtype_, layout.keyValueColumns(), head);
  });
}

void CpuBackend::gatherRows(Tensor x, const int32_t* rows, Tensor out) {
  parallel(out.rows, out.rows * out.columns, [&](int64_t row, int) {
    std::memcpy(out.row(row), x.row(rows[row]), static_cast<size_t>(out.columns) * sizeof(float));
  });
}

}  // namespace rnd1::cpu
