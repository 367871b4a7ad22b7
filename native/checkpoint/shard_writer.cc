#include "checkpoint/shard_writer.h"

#include <algorithm>
#include <atomic>

#include "checkpoint/quantize.h"
#include "checkpoint/row_reader.h"
#include "core/error.h"
#include "core/failure.h"
#include "core/fp8.h"
#include "core/parallel.h"
#include "io/file.h"

namespace rnd1 {
namespace {

// Bytes a thread reads at a time: enough for a disk, and fitting a cache.
constexpr int64_t pieceBytes = int64_t{1} << 20;

int64_t rowsOf(const TensorLocation& location) { return location.shape.size() == 2 ? location.shape[0] : 1; }

/** A part of one tensor: panels of a quantized one, rows of one in fp8 or that is decoded, bytes of a copy.
 */
struct Piece {
  const ShardTensor* tensor;
  int64_t first, count;
  bool last;  // last piece of its tensor
};

std::vector<Piece> piecesOf(const Shard& shard) {
  std::vector<Piece> pieces;
  for (const ShardTensor& tensor : shard.tensors) {
    int64_t total = storedBytes(tensor.source);
    int64_t atOnce = pieceBytes;
    const int64_t rowBytes = std::max<int64_t>(1, total / std::max<int64_t>(1, rowsOf(tensor.source)));
    if (tensor.quantized && tensor.quantized->dtype == DType::fp8) {
      total = rowsOf(tensor.source);
      atOnce = std::max<int64_t>(1, pieceBytes / sizeProduct(fp8Block, rowBytes)) * fp8Block;
    } else if (tensor.quantized) {
      total = tensor.quantized->panels();
      atOnce = std::max<int64_t>(1, pieceBytes / sizeProduct(panelRows, rowBytes));
    } else if (!tensor.source.asStored()) {
      total = rowsOf(tensor.source);
      atOnce = std::max<int64_t>(1, pieceBytes / rowBytes);
    }
    for (int64_t first = 0; first < total; first += atOnce)
      pieces.push_back({&tensor, first, std::min(atOnce, total - first), first + atOnce >= total});
  }
  return pieces;
}

/** Reads, quantizes and writes pieces; one for each thread. */
class PieceWriter {
 public:
  PieceWriter(const std::vector<File>& sources, const File& target) : sources_(&sources), target_(&target) {}

  /** @returns bytes read */
  int64_t write(const Piece& piece) {
    if (piece.tensor->quantized)
      return piece.tensor->quantized->dtype == DType::fp8 ? quantizeToFp8(piece) : quantize(piece);
    return piece.tensor->source.asStored() ? copy(piece) : decode(piece);
  }

 private:
  int64_t copy(const Piece& piece) {
    const TensorLocation& source = piece.tensor->source;
    source_.resize(static_cast<size_t>(piece.count));
    (*sources_)[source.file].read(source.offset + static_cast<uint64_t>(piece.first), source_);
    target_->write(piece.tensor->data + static_cast<uint64_t>(piece.first), source_);
    return piece.count;
  }

  int64_t decode(const Piece& piece) {
    const TensorLocation& source = piece.tensor->source;
    RowReader reader(*sources_, source);
    const int64_t rowBytes = source.shape.back() * static_cast<int64_t>(dtypeSize(source.dtype));
    source_.resize(static_cast<size_t>(piece.count * rowBytes));
    reader.read(piece.first, piece.count, source_.data());
    target_->write(piece.tensor->data + static_cast<uint64_t>(piece.first * rowBytes), source_);
    return piece.count * reader.storedRowBytes();
  }

  int64_t quantize(const Piece& piece) {
    const ShardTensor& tensor = *piece.tensor;
    const QuantizedShape& shape = *tensor.quantized;
    data_.resize(static_cast<size_t>(piece.count * shape.panelBytes()));
    scales_.resize(static_cast<size_t>(piece.count * shape.panelScales()));
    minimums_.resize(tensor.minimums ? scales_.size() : 0);
    RowReader reader(*sources_, tensor.source);
    const QuantizedPanel target{data_.data(), scales_.data(), tensor.minimums ? minimums_.data() : nullptr};
    if (!reader.quantize(shape, piece.first, piece.count, target))
      throw unscalable(nameOf(tensor), shape.dtype);
    target_->write(tensor.data + static_cast<uint64_t>(piece.first * shape.panelBytes()),
                   std::as_bytes(std::span(data_)));
    const auto firstScale = static_cast<uint64_t>(piece.first * shape.panelScales()) * sizeof(uint16_t);
    target_->write(tensor.scales + firstScale, std::as_bytes(std::span(scales_)));
    if (tensor.minimums) target_->write(*tensor.minimums + firstScale, std::as_bytes(std::span(minimums_)));
    return std::min(piece.count * panelRows, shape.rows - piece.first * panelRows) * reader.storedRowBytes();
  }

  int64_t quantizeToFp8(const Piece& piece) {
    const ShardTensor& tensor = *piece.tensor;
    RowReader reader(*sources_, tensor.source);
    const auto rows = reader.readFp8(piece.first, piece.count);
    if (!rows) throw unscalable(nameOf(tensor), DType::fp8);
    const int64_t columns = tensor.source.shape[1];
    target_->write(tensor.data + static_cast<uint64_t>(piece.first * columns), std::as_bytes(rows->numbers));
    const auto firstScale = static_cast<uint64_t>(piece.first / fp8Block * fp8Blocks(columns));
    target_->write(tensor.scales + firstScale * sizeof(float), std::as_bytes(rows->scales));
    return piece.count * reader.storedRowBytes();
  }

  std::string nameOf(const ShardTensor& tensor) const {
    return (*sources_)[tensor.source.file].path() + ": tensor " + tensor.name;
  }

  const std::vector<File>* sources_;
  const File* target_;
  std::vector<std::byte> source_;
  std::vector<uint8_t> data_;
  std::vector<uint16_t> scales_, minimums_;
};

}  // namespace

void fillShard(const Shard& shard, int threads, const std::function<void(const LoadProgress&)>& onProgress,
               const AbortFlag& abort) {
  std::vector<File> sources;
  sources.reserve(shard.sources.size());
  for (const std::string& path : shard.sources) sources.emplace_back(path, File::Mode::read);
  const File target(shard.path, File::Mode::write);
  int64_t totalBytes = 0;
  for (const ShardTensor& tensor : shard.tensors) {
    checkStorage(tensor.source);
    const int64_t bytes = storedBytes(tensor.source);
    // Checked before memory is allocated for its pieces.
    const File& source = sources[tensor.source.file];
    if (sizeSum(static_cast<int64_t>(tensor.source.offset), bytes) > static_cast<int64_t>(source.size()))
      throw Error(ErrorCode::io,
                  "cannot read " + source.path() + ": it ends too early, within tensor " + tensor.name);
    const File& scales = sources[tensor.source.blockScales.file];
    if (sizeSum(static_cast<int64_t>(tensor.source.blockScales.offset), blockScaleBytes(tensor.source)) >
        static_cast<int64_t>(scales.size()))
      throw Error(ErrorCode::io, "cannot read " + scales.path() +
                                     ": it ends too early, within the scales of tensor " + tensor.name);
    totalBytes = sizeSum(totalBytes, bytes);
  }
  const std::vector<Piece> pieces = piecesOf(shard);
  std::atomic<int64_t> bytes{0}, tensors{0};
  int64_t reported = -1;
  const auto report = [&] {
    // A hundred events per shard are enough for a smooth progress bar.
    const int64_t now = bytes.load(std::memory_order_relaxed);
    if (reported >= 0 && now < totalBytes && now - reported < totalBytes / 100) return;
    reported = now;
    onProgress({now, totalBytes, tensors.load(std::memory_order_relaxed),
                static_cast<int64_t>(shard.tensors.size())});
  };
  ThreadPool pool(threads);
  std::vector<PieceWriter> writers(static_cast<size_t>(threads), PieceWriter(sources, target));
  Failure failure(abort);
  pool.forEach(static_cast<int64_t>(pieces.size()), [&](int64_t index, int thread) {
    failure.guard([&] {
      bytes += writers[static_cast<size_t>(thread)].write(pieces[static_cast<size_t>(index)]);
      if (pieces[static_cast<size_t>(index)].last) ++tensors;
      // Thread 0 is the calling thread.
      if (thread == 0) report();
    });
  });
  failure.rethrow();
  target.synchronize();
  report();
}

}  // namespace rnd1
