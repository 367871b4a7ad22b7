#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "core/dtype.h"

/** What TypeScript has read of a checkpoint: where tensors are and what they hold. */
namespace rnd1 {

/** A position in one of the files. */
struct FileOffset {
  size_t file = 0;
  uint64_t offset = 0;
};

/** Where one tensor's bytes lie. Shapes of one dimension are vectors. */
struct TensorLocation {
  size_t file = 0;
  uint64_t offset = 0;
  DType dtype = DType::f32;
  std::vector<int64_t> shape;  // of the matrix, also where it is quantized
  // Of quantized tensors: the layout is that of core/quantized.h.
  int32_t group = 0;
  FileOffset scales{}, minimums{};
};

/** How the weights of matmuls are quantized. */
struct Quantization {
  DType dtype = DType::q8;
  int32_t group = 64;  // 64 or 32
};

/** What a checkpoint holds: files, and tensors by name. Headers were read by lib/checkpoint. */
struct Manifest {
  std::vector<std::string> files;
  std::unordered_map<std::string, TensorLocation> tensors;
  std::optional<Quantization> quantize;  // quantize on loading what is not quantized in the files
  bool copied = false;  // weights are copied into memory of the backend's, also where it could use the files
};

/** How far loading or writing is. */
struct LoadProgress {
  int64_t bytes = 0, totalBytes = 0, tensors = 0, totalTensors = 0;
};

}  // namespace rnd1
