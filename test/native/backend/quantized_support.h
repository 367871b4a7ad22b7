#pragma once

#include "backend/cpu/quantized/quantized_ops.h"
#include "backends.h"
#include "core/quantized.h"

/** Quantized weights in host memory, and float64 references of their ops. */
namespace rnd1::test {

/** Parameters of a quantized test weight. */
struct QuantizedKind {
  DType dtype;
  int32_t group;
};

constexpr QuantizedKind quantizedKinds[] = {{DType::q8, 64}, {DType::q4, 64}, {DType::q8, 32},
                                            {DType::q4, 32}, {DType::q5, 64}, {DType::q5, 32}};

/** For GPUs only. */
constexpr QuantizedKind fp8Kind{DType::fp8, 64};

/** The kinds with those indices, and fp8 if the backend is a GPU. */
std::vector<QuantizedKind> kindsOn(const Backend& backend,
                                   std::initializer_list<size_t> indices = {0, 1, 2, 3, 4, 5});

std::string nameOf(const QuantizedKind& kind);

/** A weight as in a mapped file: bytes at any offset, scales at an even one; of fp8, no powers of two. */
class QuantizedMatrix {
 public:
  QuantizedMatrix(const Matrix& values, const QuantizedKind& kind, size_t misalignment = 0);

  /** Sets every stored integer, or number, to the smallest or the largest. */
  void makeExtreme(Noise& noise);

  Weight mapped() const;
  /** The dequantized values. */
  Matrix values() const;
  /** The values that a GPU multiplies: scale, offset and result are rounded to a 16-bit compute dtype. */
  Matrix valuesOnGpu(DType computeDtype) const;

 private:
  void quantize(const Matrix& values);
  void quantizeToFp8(const Matrix& values);

  QuantizedShape shape_;
  size_t misalignment_;
  std::vector<uint8_t> data_;
  std::vector<uint16_t> scales_, minimums_;
};

/** x quantized in groups of `group` columns and dequantized: scale max |x| / 127, nearest integers. */
Matrix throughBytes(const Matrix& x, int64_t group);

/** Kernels with their own thread pool. */
struct Products {
  Products(const cpu::QuantizedKernels& kernels, int threads, const Limits& limits)
      : pool(threads), ops(pool, kernels) {
    ops.reserve(limits);
  }

  Matrix matmul(const Matrix& x, std::span<const Weight> weights);

  ThreadPool pool;
  cpu::QuantizedOps ops;
};

/** body(kernels) for every table that this machine can run; failures name it. */
void forEachQuantizedKernels(const std::function<void(const cpu::QuantizedKernels&)>& body);

/** A tensor with `padding` elements between rows, which must stay NaN. */
class HostMatrix {
 public:
  explicit HostMatrix(const Matrix& values) : HostMatrix(values.rows, values.columns) {
    for (int64_t row = 0; row < rows_; ++row)
      std::copy(values.row(row), values.row(row) + columns_, values_.begin() + row * stride_);
  }
  HostMatrix(int64_t rows, int64_t columns)
      : rows_(rows),
        columns_(columns),
        stride_(columns + 3),
        values_(static_cast<size_t>(rows * stride_), std::nanf("")) {}

  Tensor tensor() { return {values_.data(), rows_, columns_, stride_}; }
  Matrix host(Location location = Location::current()) const;

 private:
  int64_t rows_, columns_, stride_;
  std::vector<float> values_;
};

}  // namespace rnd1::test
