#include "checkpoint/quantize.h"

#include <algorithm>

#include "checkpoint/copies.h"
#include "checkpoint/row_reader.h"
#include "core/failure.h"
#include "core/fp8.h"
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

Weight quantize(const std::vector<File>& files, const TensorLocation& matrix,
                const Quantization& quantization, const std::string& where,
                const std::function<std::byte*(int64_t)>& allocate, ThreadPool& pool,
                const AbortFlag& abort) {
  const QuantizedShape shape = quantization.shapeOf(matrix.shape[0], matrix.shape[1]);
  const bool minimums = hasMinimums(shape.dtype);
  const int64_t scaleBytes = wholeLines(shape.scaleCount() * static_cast<int64_t>(sizeof(uint16_t)));
  const int64_t dataBytes = wholeLines(shape.dataBytes());
  std::byte* const memory = allocate(dataBytes + scaleBytes * (minimums ? 2 : 1));
  auto* scales = reinterpret_cast<uint16_t*>(memory + dataBytes);
  auto* lowest = minimums ? reinterpret_cast<uint16_t*>(memory + dataBytes + scaleBytes) : nullptr;
  std::vector<RowReader> readers(static_cast<size_t>(pool.threads()), RowReader(files, matrix));
  // Panels of whole blocks.
  const int64_t unit = shape.dtype == DType::fp8 ? fp8Block / panelRows : 1;
  const int64_t unitBytes = sizeProduct(unit * panelRows, readers[0].storedRowBytes());
  const int64_t atOnce = unit * std::max<int64_t>(1, minReadBytes / std::max<int64_t>(1, unitBytes));
  Failure failure(abort);
  pool.forEach((shape.panels() + atOnce - 1) / atOnce, [&](int64_t piece, int thread) {
    failure.guard([&] {
      const int64_t first = piece * atOnce;
      const QuantizedPanel target{reinterpret_cast<uint8_t*>(memory) + first * shape.panelBytes(),
                                  scales + first * shape.panelScales(),
                                  lowest ? lowest + first * shape.panelScales() : nullptr};
      const int64_t count = std::min(atOnce, shape.panels() - first);
      if (!readers[static_cast<size_t>(thread)].quantize(shape, first, count, target))
        throw unscalable(where, shape.dtype);
    });
  });
  failure.rethrow();
  return quantizedWeight(shape, memory, scales, lowest);
}

}  // namespace rnd1
