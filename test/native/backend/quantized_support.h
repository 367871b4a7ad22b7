#pragma once

#include "backend/cpu/quantized/quantized_ops.h"
#include "backends.h"
#include "core/quantized.h"

/** Quantized weights in host memory, and what the ops on them mean in float64. */
namespace rnd1::test {

/** What a test asks of a quantized weight. */
struct QuantizedKind {
  DType dtype;
  int32_t group;
};

constexpr QuantizedKind quantizedKinds[] = {
    {DType::q8, 64}, {DType::q4, 64}, {DType::q8, 32}, {DType::q4, 32}};

std::string nameOf(const QuantizedKind& kind);

/** As a mapped file would hold it: bytes at any offset, scales at an even one. */
class QuantizedMatrix {
 public:
  QuantizedMatrix(const Matrix& values, const QuantizedKind& kind, size_t misalignment = 0);

  /** Every stored integer the least or the greatest one. */
  void makeExtreme(Noise& noise);

  Weight mapped() const;
  /** What the integers and scales stand for. */
  Matrix values() const;

 private:
  QuantizedShape shape_;
  size_t misalignment_;
  std::vector<uint8_t> data_;
  std::vector<uint16_t> scales_, minimums_;
};

/** x as the bytes and scales of `columns`-wide groups say it: max |x| / 127 to the nearest integer. */
Matrix throughBytes(const Matrix& x, int64_t group);

/** Kernels with a pool of their own. */
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

/** A tensor whose rows lie `padding` elements apart; what is between them stays NaN. */
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
