#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "backend/backend.h"
#include "core/abort.h"
#include "core/parallel.h"
#include "core/quantized.h"
#include "io/file.h"
#include "model/weights.h"

namespace rnd1 {

/**
 * Quantizes a wide weight, which lies in the file from `offset` on (its `data` is not looked at), into memory
 * of the backend, which the caller releases by `Weight::data`. Reads and quantizes by the threads of the
 * pool, a few panels at a time. Throws Error io, out_of_memory, aborted, or invalid_checkpoint naming `where`
 * when the weight holds what has no scale.
 */
Weight quantize(const File& file, uint64_t offset, const Weight& wide, const Quantization& quantization,
                const std::string& where, Backend& backend, ThreadPool& pool, const AbortFlag& abort);

/** One tensor of a file that is being written: a copy, or, with `shape.dtype` quantized, the integers. */
struct ShardTensor {
  std::string name;
  TensorLocation source;
  std::optional<QuantizedShape> quantized;
  // Where its parts go, in bytes from the start of the file; `minimums` null where the format has none.
  uint64_t data = 0;
  uint64_t scales = 0;
  std::optional<uint64_t> minimums;
};

/** A file to fill; its header is there already. */
struct Shard {
  std::vector<std::string> sources;
  std::string path;
  std::vector<ShardTensor> tensors;
};

/**
 * Reads tensors piece by piece, quantizes or copies them, writes them to their places and waits for the disk.
 * Memory is a few pieces for each thread, whatever the size of a tensor. Throws Error io, aborted, or
 * invalid_checkpoint naming file and tensor.
 */
void fillShard(const Shard& shard, int threads, const std::function<void(const LoadProgress&)>& onProgress,
               const AbortFlag& abort);

}  // namespace rnd1
