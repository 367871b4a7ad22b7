#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "checkpoint/manifest.h"
#include "core/abort.h"
#include "core/quantized.h"

namespace rnd1 {

/** One tensor of a file to write: a copy of `source`, or its quantization if `quantized` is set. */
struct ShardTensor {
  std::string name;
  TensorLocation source;
  std::optional<QuantizedShape> quantized;
  // Offsets of its parts in the file, for fp8 those of core/fp8.h with scales in f32; `minimums` null if the
  // format has none.
  uint64_t data = 0;
  uint64_t scales = 0;
  std::optional<uint64_t> minimums;
};

/** A file to fill; its header is already written. */
struct Shard {
  std::vector<std::string> sources;
  std::string path;
  std::vector<ShardTensor> tensors;
};

/**
 * Reads tensors piece by piece, quantizes or copies them, writes them to their offsets and waits for the
 * disk. Uses memory for a few pieces per thread, whatever the size of a tensor. Throws Error io, aborted, or
 * invalid_checkpoint naming file and tensor.
 */
void fillShard(const Shard& shard, int threads, const std::function<void(const LoadProgress&)>& onProgress,
               const AbortFlag& abort);

}  // namespace rnd1
