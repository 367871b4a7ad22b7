#include "memory.h"

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <cstring>

#include "checkpoint/manifest.h"
#include "core/error.h"
#include "core/quantized.h"
#include "core/random.h"

namespace rnd1::bench {
namespace {

// Random weights repeat after this many: generating hundreds of millions would take longer than the bench.
constexpr int64_t patternLength = 1 << 18;

/** More than the last-level cache of any known processor or GPU. */
constexpr int64_t beyondCaches = int64_t{512} << 20;
constexpr int64_t maxCopies = 32;

}  // namespace

std::vector<float> randomValues(int64_t count, float amplitude, DType dtype) {
  std::vector<float> values(static_cast<size_t>(count));
  for (int64_t i = 0; i < count; i += 4) {
    const auto words = philox(1, {static_cast<uint32_t>(i), static_cast<uint32_t>(i >> 32), 0, 0});
    for (int64_t lane = 0; lane < std::min<int64_t>(4, count - i); ++lane)
      values[static_cast<size_t>(i + lane)] = roundTo(dtype, amplitude * (2 * uniform(words[lane]) - 1));
  }
  return values;
}

std::vector<std::byte> bytesOf(const std::vector<float>& values, DType dtype) {
  const size_t size = dtypeSize(dtype);
  std::vector<std::byte> bytes(values.size() * size);
  for (size_t i = 0; i < values.size(); ++i) {
    const uint16_t half = dtype == DType::bf16 ? floatToBf16(values[i]) : floatToF16(values[i]);
    std::memcpy(bytes.data() + i * size, dtype == DType::f32 ? static_cast<const void*>(&values[i]) : &half,
                size);
  }
  return bytes;
}

void Weights::Free::operator()(void* memory) const noexcept { std::free(memory); }

std::byte* Weights::hold(int64_t bytes) {
  auto* memory = static_cast<std::byte*>(std::aligned_alloc(64, static_cast<size_t>((bytes + 63) / 64 * 64)));
  if (!memory) throw Error(ErrorCode::outOfMemory, "cannot allocate " + std::to_string(bytes) + " bytes");
  host_.emplace_back(memory);
  return memory;
}

int64_t Weights::bytes(DType dtype, int64_t rows, int64_t columns) {
  if (!isQuantized(dtype)) return rows * columns * static_cast<int64_t>(dtypeSize(dtype));
  const QuantizedShape shape = Quantization{dtype, 64}.shapeOf(rows, columns);
  return shape.dataBytes() + 2 * shape.scaleCount() * (hasMinimums(dtype) ? 2 : 1);
}

Weight Weights::addQuantized(int64_t rows, int64_t columns) {
  const QuantizedShape shape = Quantization{dtype_, 64}.shapeOf(rows, columns);
  const float largest = hasMinimums(dtype_)   ? 0.5f * static_cast<float>(largestInteger(dtype_))
                        : dtype_ == DType::q8 ? 127
                                              : 240;
  const float scale = std::sqrt(3.0f / static_cast<float>(columns)) / largest;
  const size_t before = host_.size();
  std::byte* data = hold(shape.dataBytes());
  const int64_t drawn = std::min(patternLength, shape.dataBytes());
  for (int64_t i = 0; i < drawn; i += 16) {
    const auto words = philox(1, {static_cast<uint32_t>(i), 0, 0, 0});
    std::memcpy(data + i, &words, static_cast<size_t>(std::min<int64_t>(16, drawn - i)));
  }
  // Numbers of fp8 below 256, none of them NaN.
  if (dtype_ == DType::fp8)
    for (int64_t i = 0; i < drawn; ++i) data[i] &= std::byte{0xf7};
  for (int64_t done = drawn; done < shape.dataBytes(); done += drawn)
    std::memcpy(data + done, data, static_cast<size_t>(std::min(drawn, shape.dataBytes() - done)));
  const auto halves = [&](float value) {
    auto* target = reinterpret_cast<uint16_t*>(hold(2 * shape.scaleCount()));
    std::fill_n(target, shape.scaleCount(), dtype_ == DType::fp8 ? floatToBf16(value) : floatToF16(value));
    return target;
  };
  const uint16_t* scales = halves(scale);
  const uint16_t* minimums = hasMinimums(dtype_) ? halves(-largest * scale) : nullptr;
  const Weight placed = backend_.place(quantizedWeight(shape, data, scales, minimums));
  // A GPU has made its own copy.
  if (placed.data != data) host_.resize(before);
  return placed;
}

Weight Weights::add(int64_t rows, int64_t columns) {
  if (isQuantized(dtype_)) return addQuantized(rows, columns);
  const auto size = static_cast<int64_t>(dtypeSize(dtype_));
  const int64_t bytes = rows * columns * size;
  std::byte* memory = hold(bytes);

  // As large as a trained layer's, so that activations stay of the order of one.
  const float amplitude = std::sqrt(3.0f / static_cast<float>(columns));
  const std::vector<float> pattern = randomValues(std::min(patternLength, rows * columns), amplitude, dtype_);
  const std::vector<std::byte> narrow = bytesOf(pattern, dtype_);
  for (int64_t done = 0; done < bytes; done += static_cast<int64_t>(narrow.size()))
    std::memcpy(memory + done, narrow.data(), std::min(narrow.size(), static_cast<size_t>(bytes - done)));

  const Weight placed = backend_.place(Weight(memory, dtype_, rows, columns));
  if (placed.data != memory) host_.pop_back();
  return placed;
}

int64_t coldCopies(int64_t bytes) {
  return std::clamp(beyondCaches / std::max<int64_t>(bytes, 1), int64_t{1}, maxCopies);
}

}  // namespace rnd1::bench
