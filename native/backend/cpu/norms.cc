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

void CpuBackend::normRope(Tensor qkv, const HeadLayout& layout, const HeadNorms& norms,
                          const int32_t* positions, Tensor rotary, Tensor) {
  const auto widened = [&](const Weight& weight, Buffer<float>& buffer) {
    return weight.data ? widenedVector(weight, buffer) : nullptr;
  };
  const float* queryScale = widened(norms.queryNorm, firstVector_);
  const float* keyScale = widened(norms.keyNorm, secondVector_);
  const float* bias = widened(norms.bias, thirdVector_);
  RotatedHead shape{layout.headDim, rotary.columns / 2, norms.epsilon, computeDtype_};
  parallel(qkv.rows, 8 * qkv.rows * qkv.columns, [&](int64_t row, int) {
    const float* cosines = rotary.row(positions[row]);
    float* head = qkv.row(row);
    if (bias) kernels_.add(bias, qkv.columns, head);
    for (int64_t i = 0; i < layout.heads + layout.keyValueHeads; ++i, head += layout.headDim)
      kernels_.normRopeHead(shape, i < layout.heads ? queryScale : keyScale, cosines, head);
    kernels_.round(computeDtype_, layout.keyValueColumns(), head);
  });
}

void CpuBackend::add(Tensor x, Tensor out) {
  parallel(out.rows, out.rows * out.columns,
           [&](int64_t row, int) { kernels_.add(x.row(row), out.columns, out.row(row)); });
}

void CpuBackend::gatherRows(Tensor x, const int32_t* rows, Tensor out) {
  parallel(out.rows, out.rows * out.columns, [&](int64_t row, int) {
    std::memcpy(out.row(row), x.row(rows[row]), static_cast<size_t>(out.columns) * sizeof(float));
  });
}

}  // namespace rnd1::cpu
