#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "checkpoint/manifest.h"
#include "core/abort.h"
#include "core/quantized.h"

namespace rnd1 {

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
