#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "checkpoint/manifest.h"
#include "core/quantized.h"
#include "io/file.h"

namespace rnd1 {

/**
 * Throws Error invalid_checkpoint, naming the tensor, unless an unquantized tensor has rows of whole blocks,
 * and as many rows as whole heads.
 */
void checkStorage(const TensorLocation& location);

/** Bytes of an unquantized tensor in its file. Throws Error out_of_memory if they exceed int64_t. */
int64_t storedBytes(const TensorLocation& location);

/**
 * Reads rows of an unquantized tensor (a vector is one row) in the model's order, and decodes them. One
 * thread uses it at a time. Throws Error io.
 */
class RowReader {
 public:
  /** Both must outlive the reader. */
  RowReader(const File& file, const TensorLocation& location);

  int64_t storedRowBytes() const { return storedRowBytes_; }

  /** Rows [first, first + count) as numbers of the location's dtype, without gaps. */
  void read(int64_t first, int64_t count, std::byte* out);

  /**
   * Quantizes panels [first, first + count) to `target`, the place of the first; the others follow. Returns
   * false if numbers cannot be quantized, as `quantizePanel`.
   */
  bool quantize(const QuantizedShape& shape, int64_t first, int64_t count, const QuantizedPanel& target);

 private:
  /** Rows as they are stored, valid until the next call. */
  std::span<const std::byte> readStored(int64_t first, int64_t count);
  /** Row of the file that is this row of the model. */
  int64_t storedRow(int64_t row) const;
  /** Stored rows as f32. */
  const float* decode(std::span<const std::byte> rows);

  const File* file_;
  const TensorLocation* location_;
  int64_t columns_, storedRowBytes_;
  std::vector<std::byte> stored_;
  std::vector<float> decoded_;
};

}  // namespace rnd1
