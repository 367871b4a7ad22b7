#include "checkpoint/shard_writer.h"

#include <algorithm>
#include <atomic>

#include "checkpoint/quantize.h"
#include "core/error.h"
#include "core/failure.h"
#include "core/parallel.h"
#include "io/file.h"

namespace rnd1 {
namespace {

// Bytes a thread reads at a time: enough for a disk, and fitting a cache.
constexpr int64_t pieceBytes = int64_t{1} << 20;

int64_t bytesOf(const TensorLocation& location) {
  auto bytes = static_cast<int64_t>(dtypeSize(location.dtype));
  for (const int64_t size : location.shape) bytes = sizeProduct(bytes, size);
  return bytes;
}

/** A part of one tensor: panels of a quantized one, bytes of a copy. */
struct Piece {
  const ShardTensor* tensor;
  int64_t first, count;
  bool last;  // last piece of its tensor
};

std::vector<Piece> piecesOf(const Shard& shard) {
  std::vector<Piece> pieces;
  for (const ShardTensor& tensor : shard.tensors) {
    int64_t total = bytesOf(tensor.source);
    int64_t atOnce = pieceBytes;
    if (tensor.quantized) {
      const int64_t sourcePanel =
          sizeProduct(panelRows, tensor.source.shape[1], dtypeSize(tensor.source.dtype));
      total = tensor.quantized->panels();
      atOnce = std::max<int64_t>(1, pieceBytes / sourcePanel);
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
  int64_t write(const Piece& piece) { return piece.tensor->quantized ? quantize(piece) : copy(piece); }

 private:
  std::span<std::byte> read(const TensorLocation& source, int64_t first, int64_t count) {
    source_.resize(static_cast<size_t>(count));
    (*sources_)[source.file].read(source.offset + static_cast<uint64_t>(first), source_);
    return source_;
  }

  int64_t copy(const Piece& piece) {
    target_->write(piece.tensor->data + static_cast<uint64_t>(piece.first),
                   read(piece.tensor->source, piece.first, piece.count));
    return piece.count;
  }

  int64_t quantize(const Piece& piece) {
    const ShardTensor& tensor = *piece.tensor;
    const QuantizedShape& shape = *tensor.quantized;
    const int64_t stride = shape.columns * static_cast<int64_t>(dtypeSize(tensor.source.dtype));
    const int64_t firstRow = piece.first * panelRows;
    const int64_t rows = std::min(piece.count * panelRows, shape.rows - firstRow);
    const auto source = read(tensor.source, firstRow * stride, rows * stride);
    data_.resize(static_cast<size_t>(piece.count * shape.panelBytes()));
    scales_.resize(static_cast<size_t>(piece.count * shape.panelScales()));
    minimums_.resize(tensor.minimums ? scales_.size() : 0);
    for (int64_t i = 0; i < piece.count; ++i) {
      const int64_t row = i * panelRows;
      const QuantizedPanel panel{data_.data() + i * shape.panelBytes(),
                                 scales_.data() + i * shape.panelScales(),
                                 tensor.minimums ? minimums_.data() + i * shape.panelScales() : nullptr};
      if (!quantizePanel(shape, source.data() + row * stride, tensor.source.dtype, stride,
                         std::min(panelRows, rows - row), panel))
        throw unscalable((*sources_)[tensor.source.file].path() + ": tensor " + tensor.name, shape.dtype);
    }
    target_->write(tensor.data + static_cast<uint64_t>(piece.first * shape.panelBytes()),
                   std::as_bytes(std::span(data_)));
    const auto firstScale = static_cast<uint64_t>(piece.first * shape.panelScales()) * sizeof(uint16_t);
    target_->write(tensor.scales + firstScale, std::as_bytes(std::span(scales_)));
    if (tensor.minimums) target_->write(*tensor.minimums + firstScale, std::as_bytes(std::span(minimums_)));
    return rows * stride;
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
    const int64_t bytes = bytesOf(tensor.source);
    // Checked before memory is allocated for its pieces.
    const File& source = sources[tensor.source.file];
    if (sizeSum(static_cast<int64_t>(tensor.source.offset), bytes) > static_cast<int64_t>(source.size()))
      throw Error(ErrorCode::io,
                  "cannot read " + source.path() + ": it ends too early, within tensor " + tensor.name);
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
