#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "checkpoint/manifest.h"
#include "core/quantized.h"
#include "io/file.h"

namespace rnd1 {

/**
 * Throws Error invalid_checkpoint, naming the tensor, unless an unquantized tensor has rows of whole blocks,
 * and as many rows as whole heads; in fp8 it must be a matrix.
 */
void checkStorage(const TensorLocation& location);

/** Bytes of an unquantized tensor in its file, and of the scales of fp8. Throw Error out_of_memory if they
 * exceed int64_t. */
int64_t storedBytes(const TensorLocation& location);
int64_t blockScaleBytes(const TensorLocation& location);

/** Rows as fp8: (rows, columns), and (blocks of rows, blocks of columns). */
struct Fp8Rows {
  std::span<const uint8_t> numbers;
  std::span<const float> scales;
};

/**
 * Reads rows of an unquantized tensor (a vector is one row) in the model's order, and decodes them. One
 * thread uses it at a time. Throws Error io.
 */
class RowReader {
 public:
  /** Both must outlive the reader. */
  RowReader(const std::vector<File>& files, const TensorLocation& location);

  int64_t storedRowBytes() const { return storedRowBytes_; }

  /** Rows [first, first + count) as numbers of the location's dtype, without gaps. */
  void read(int64_t first, int64_t count, std::byte* out);

  /**
   * Quantizes panels [first, first + count) to `target`, the place of the first; the others follow. In fp8,
   * `first` must begin a block. Returns false if numbers cannot be quantized, as `quantizePanel`.
   */
  bool quantize(const QuantizedShape& shape, int64_t first, int64_t count, const QuantizedPanel& target);

  /**
   * Rows [first, first + count), which begin with a block, as fp8: as they are if the file has them so.
   * Nothing if numbers cannot be quantized, as `quantizeFp8`. Valid until the next call.
   */
  std::optional<Fp8Rows> readFp8(int64_t first, int64_t count);

 private:
  /** Rows as they are stored, valid until the next call. */
  std::span<const std::byte> readStored(int64_t first, int64_t count);
  /** Row of the file that is this row of the model. */
  int64_t storedRow(int64_t row) const;
  /** Stored rows as f32, of which the first is the row `first`. */
  const float* decode(int64_t first, std::span<const std::byte> rows);
  /** Rows of f32, f16 or bf16. */
  struct FloatRows {
    const std::byte* first;
    int64_t strideBytes;
    DType dtype;
    const std::byte* row(int64_t index) const { return first + index * strideBytes; }
  };
  /** Stored rows as they are, or decoded if they are in blocks. */
  FloatRows floatRows(int64_t first, std::span<const std::byte> stored);
  /** Scales of the blocks of rows of fp8 from the one of `first` on. */
  void readBlockScales(int64_t first, int64_t count);

  const std::vector<File>* files_;
  const TensorLocation* location_;
  int64_t columns_, storedRowBytes_;
  std::vector<std::byte> stored_;
  std::vector<float> decoded_, blockScales_;
  std::vector<uint8_t> numbers_;
};

}  // namespace rnd1
