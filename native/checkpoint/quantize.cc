#include "checkpoint/quantize.h"

#include <algorithm>

#include "checkpoint/copies.h"
#include "core/failure.h"
#include "core/quantized.h"

namespace rnd1 {
namespace {

// Bytes per read when all threads quantize one weight: small, so that each gets work.
constexpr int64_t minReadBytes = int64_t{64} << 10;

}  // namespace

Error unscalable(const std::string& where, DType dtype) {
  return Error(ErrorCode::invalidCheckpoint, where + " holds NaN, infinity or a number too large for " +
                                                 dtypeName(dtype) + ": it cannot be quantized");
}

Weight quantize(const File& file, uint64_t offset, const Weight& matrix, const Quantization& quantization,
                const std::string& where, Backend& backend, ThreadPool& pool, const AbortFlag& abort) {
  const QuantizedShape shape{quantization.dtype, matrix.rows, matrix.columns,
                             quantizedGroup(matrix.columns, quantization.group)};
  const bool minimums = hasMinimums(shape.dtype);
  const int64_t scaleBytes = wholeLines(shape.scaleCount() * static_cast<int64_t>(sizeof(uint16_t)));
  const int64_t dataBytes = wholeLines(shape.dataBytes());
  OwnedMemory owned = ownedMemory(
      backend, backend.allocate(static_cast<size_t>(dataBytes + scaleBytes * (minimums ? 2 : 1))));
  auto* memory = static_cast<std::byte*>(owned.get());
  auto* scales = reinterpret_cast<uint16_t*>(memory + dataBytes);
  auto* lowest = minimums ? reinterpret_cast<uint16_t*>(memory + dataBytes + scaleBytes) : nullptr;
  const int64_t stride = matrix.strideBytes;
  const int64_t atOnce = std::max<int64_t>(1, minReadBytes / (panelRows * stride));
  std::vector<std::vector<std::byte>> sources(static_cast<size_t>(pool.threads()));
  Failure failure(abort);
  pool.forEach((shape.panels() + atOnce - 1) / atOnce, [&](int64_t piece, int thread) {
    failure.guard([&] {
      const int64_t firstRow = piece * atOnce * panelRows;
      const int64_t rows = std::min(atOnce * panelRows, matrix.rows - firstRow);
      std::vector<std::byte>& source = sources[static_cast<size_t>(thread)];
      source.resize(static_cast<size_t>(rows * stride));
      file.read(offset + static_cast<uint64_t>(firstRow * stride), source);
      for (int64_t row = 0; row < rows; row += panelRows) {
        const int64_t index = (firstRow + row) / panelRows;
        const QuantizedPanel panel{reinterpret_cast<uint8_t*>(memory) + index * shape.panelBytes(),
                                   scales + index * shape.panelScales(),
                                   lowest ? lowest + index * shape.panelScales() : nullptr};
        if (!quantizePanel(shape, source.data() + row * stride, matrix.dtype, stride,
                           std::min(panelRows, rows - row), panel))
          throw unscalable(where, shape.dtype);
      }
    });
  });
  failure.rethrow();
  const Weight result = quantizedWeight(shape, memory, scales, lowest);
  owned.release();
  return result;
}

}  // namespace rnd1
