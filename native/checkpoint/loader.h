#pragma once

#include <functional>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "backend/backend.h"
#include "checkpoint/copies.h"
#include "checkpoint/manifest.h"
#include "core/abort.h"
#include "core/parallel.h"
#include "io/mapped_file.h"

namespace rnd1 {

/**
 * Finds the tensors of a manifest by role, checks them, and places them in the backend: mapped, copied or
 * quantized. Throws Error invalid_checkpoint naming file and tensor, io, out_of_memory, aborted.
 */
class Loader {
 public:
  /**
   * `mapped`, by file of the manifest, and `owned` receive memory that must outlive the weights.
   * `totalTensors`: number of loads to come, for progress.
   */
  Loader(const Manifest& manifest, std::vector<std::optional<MappedFile>>& mapped, Backend& backend,
         int64_t totalTensors, std::vector<OwnedMemory>& owned,
         const std::function<void(const LoadProgress&)>& onProgress, const AbortFlag& abort);

  /** Throws Error invalid_checkpoint unless there is such a tensor, which is not quantized. */
  void require(const std::string& role, const std::vector<int64_t>& shape) const;

  /** The same tensor in host memory, valid until the next call. */
  Weight read(const std::string& role, const std::vector<int64_t>& shape);

  /** A weight that is never quantized. */
  Weight loadUnquantized(const std::string& role, const std::vector<int64_t>& shape);

  /** The weight of a matmul, which may be quantized. */
  Weight loadMatmul(const std::string& role, const std::vector<int64_t>& shape);

  /** Vectors of several roles, with their lengths, one after another. They have one dtype. */
  Weight loadJoined(std::span<const std::pair<std::string, int64_t>> parts);

  /** Bytes in memory of all weights so far. */
  int64_t bytes() const { return bytes_; }

 private:
  const TensorLocation& find(const std::string& role, const std::vector<int64_t>& shape) const;
  /** The same for a weight that must not be quantized. */
  const TensorLocation& findUnquantized(const std::string& role, const std::vector<int64_t>& shape) const;
  /** Quantizes a tensor while reading it; a file truncated meanwhile is an error, as for copies. */
  Weight quantized(const TensorLocation& location, const Quantization& quantization);
  /** Checks that an unquantized tensor is inside its file, and has it read ahead. */
  void willRead(const TensorLocation& location) const;
  /** Reads a tensor that is not stored as it is used. */
  Weight decoded(const TensorLocation& location);
  /** Memory for a weight that is not used as it is stored: of the backend, or valid until the next call if
   * `place` copies it. */
  std::byte* memoryOf(int64_t bytes);
  /** How a tensor is quantized while it is loaded as the weight of a matmul; null if it is not. */
  const Quantization* quantizationOf(const std::string& role, const TensorLocation& location) const;
  /** A tensor that is used as it is, in place or copied, or decoded. */
  Weight source(const TensorLocation& location);
  /** Address of bytes of the file, mapped, or in the pending copy. */
  const std::byte* bytesAt(const std::string& name, FileOffset from, int64_t length, bool copy);
  const uint16_t* scalesAt(const std::string& name, FileOffset from, int64_t count, bool copy);
  Weight locate(const TensorLocation& location, bool copy);
  /** Counts one more tensor: its bytes in the file, and in memory. */
  void advance(int64_t read, int64_t resident);

  const Manifest& manifest_;
  std::vector<std::optional<MappedFile>>& mapped_;  // by file; set if weights are used in place
  std::vector<File> files_;
  Backend& backend_;
  std::vector<OwnedMemory>& owned_;
  const std::function<void(const LoadProgress&)>& onProgress_;
  const AbortFlag& abort_;
  std::optional<Copies> copies_;  // unless weights are used in place
  std::optional<ThreadPool> pool_;
  std::vector<std::byte> staging_;  // the newest decoded or quantized tensor, if `place` copies
  LoadProgress progress_;
  int64_t bytes_ = 0;
};

}  // namespace rnd1
