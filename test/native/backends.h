#pragma once

#include <cmath>
#include <cstring>
#include <functional>
#include <memory>
#include <random>
#include <span>
#include <string>
#include <vector>

#include "backend/backend.h"
#include "harness.h"
#include "oracle.h"

/** Backends under test, their memory, and random inputs. */
namespace rnd1::test {

constexpr DType allDTypes[] = {DType::f32, DType::f16, DType::bf16};

/** body(backend) for every instruction set and compute dtype; failures name both. */
void forEachBackend(const std::function<void(Backend&)>& body, int threads = 2);

/** make(threads) for every instruction set and compute dtype: for tests that compare thread counts. */
using BackendFactory = std::function<std::unique_ptr<Backend>(int threads)>;
void forEachFactory(const std::function<void(const BackendFactory&)>& body);

/** Reproducible inputs. */
class Noise {
 public:
  explicit Noise(uint64_t seed) : engine_(seed) {}

  double uniform() { return static_cast<double>(engine_() >> 11) * 0x1p-53; }
  int64_t below(int64_t bound) { return static_cast<int64_t>(uniform() * static_cast<double>(bound)); }
  float normal() {
    const double radius = std::sqrt(-2 * std::log(1 - uniform()));
    return static_cast<float>(radius * std::cos(2 * M_PI * uniform()));
  }

  std::vector<float> normals(size_t count, float deviation = 1) {
    std::vector<float> values(count);
    for (float& value : values) value = deviation * normal();
    return values;
  }

  /** Normal deviates, rounded to `dtype`. */
  Matrix matrix(int64_t rows, int64_t columns, DType dtype = DType::f32, float deviation = 1) {
    Matrix result(rows, columns);
    for (float& value : result.values) value = roundTo(dtype, deviation * normal());
    return result;
  }

 private:
  std::mt19937_64 engine_;
};

/** Backend memory, initially 0xff everywhere: unwritten values are NaN or −1. */
template <typename T>
class DeviceArray {
 public:
  DeviceArray(Backend& backend, size_t count) : backend_(&backend), count_(count) {
    data_ = static_cast<T*>(backend.allocate(bytes() + (count == 0)));
    const std::vector<unsigned char> unwritten(bytes(), 0xff);
    backend.upload(data_, unwritten.data(), bytes());
  }
  DeviceArray(Backend& backend, const std::vector<T>& values) : DeviceArray(backend, values.size()) {
    backend.upload(data_, values.data(), bytes());
  }
  ~DeviceArray() { backend_->release(data_); }
  DeviceArray(const DeviceArray&) = delete;
  DeviceArray& operator=(const DeviceArray&) = delete;

  T* data() const { return data_; }
  size_t size() const { return count_; }
  std::vector<T> host() const {
    std::vector<T> values(count_);
    backend_->synchronize();
    backend_->download(values.data(), data_, bytes());
    return values;
  }

 private:
  size_t bytes() const { return count_ * sizeof(T); }

  Backend* backend_;
  size_t count_;
  T* data_ = nullptr;
};

/** A backend tensor with padding after each row, which ops must not write. */
class DeviceMatrix {
 public:
  DeviceMatrix(Backend& backend, int64_t rows, int64_t columns, int64_t padding = 3)
      : rows_(rows),
        columns_(columns),
        stride_(columns + padding),
        array_(backend, static_cast<size_t>(rows * stride_)) {}
  DeviceMatrix(Backend& backend, const Matrix& values, int64_t padding = 3)
      : rows_(values.rows),
        columns_(values.columns),
        stride_(values.columns + padding),
        array_(backend, padded(values, stride_)) {}

  Tensor tensor() const { return {array_.data(), rows_, columns_, stride_}; }
  operator Tensor() const { return tensor(); }

  Matrix host(Location location = Location::current()) const {
    const auto all = array_.host();
    Matrix result(rows_, columns_);
    bool untouched = true;
    for (int64_t row = 0; row < rows_; ++row)
      for (int64_t column = 0; column < stride_; ++column) {
        const float value = all[static_cast<size_t>(row * stride_ + column)];
        if (column < columns_) {
          result.at(row, column) = value;
        } else {
          untouched = untouched && std::isnan(value);
        }
      }
    expect(untouched, "something was written between the rows", location);
    return result;
  }

 private:
  static std::vector<float> padded(const Matrix& values, int64_t stride) {
    std::vector<float> all(static_cast<size_t>(values.rows * stride), std::nanf(""));
    for (int64_t row = 0; row < values.rows; ++row)
      std::copy(values.row(row), values.row(row) + values.columns, all.begin() + row * stride);
    return all;
  }

  int64_t rows_;
  int64_t columns_;
  int64_t stride_;
  DeviceArray<float> array_;
};

/** A weight in host memory as a mapped file would hold it: at any byte offset. */
class HostWeight {
 public:
  HostWeight(const Matrix& values, DType dtype, size_t misalignment = 0, int64_t rowPadding = 0);

  /** The values that matmuls in this compute dtype use. */
  Matrix values(DType computeDtype = DType::f32) const;
  std::vector<float> vector() const { return values().values; }
  Weight mapped() const;

 private:
  DType dtype_;
  size_t misalignment_;
  int64_t rows_;
  int64_t columns_;
  int64_t strideBytes_;
  std::vector<std::byte> bytes_;
};

/** The rows of a matrix by index. */
Matrix selectRows(const Matrix& matrix, std::span<const int64_t> rows);

/** Rows [first, first + count). */
Matrix rowRange(const Matrix& matrix, int64_t first, int64_t count);

}  // namespace rnd1::test
