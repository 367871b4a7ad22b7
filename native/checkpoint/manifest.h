#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "checkpoint/block_types.h"
#include "core/dtype.h"
#include "core/quantized.h"

/** The description of a checkpoint, which TypeScript reads: locations and formats of tensors. */
namespace rnd1 {

/** A position in one of the files. */
struct FileOffset {
  size_t file = 0;
  uint64_t offset = 0;
};

/** How the weights of matmuls are quantized. */
struct Quantization {
  DType dtype = DType::q8;
  int32_t group = 64;  // 64 or 32; fp8: not used

  /** Whether the weight of a matmul with that role is quantized. As in FP8 checkpoints, fp8 leaves the head.
   */
  bool takes(const std::string& role) const { return dtype != DType::fp8 || role != "head"; }

  QuantizedShape shapeOf(int64_t rows, int64_t columns) const {
    return {dtype, rows, columns, dtype == DType::fp8 ? 64 : quantizedGroup(columns, group)};
  }
};

/** Location of one tensor. Shapes of one dimension are vectors. */
struct TensorLocation {
  std::string name;  // in the checkpoint, for errors
  size_t file = 0;
  uint64_t offset = 0;
  DType dtype = DType::f32;
  std::vector<int64_t> shape;  // of the dequantized matrix
  // Quantized tensors only, in the layout of core/quantized.h.
  int32_t group = 0;
  FileOffset scales{}, minimums{};
  // Unquantized tensors only.
  BlockType blocks = BlockType::none;  // the file's format; numbers of `dtype` are made of it
  FileOffset blockScales{};            // `fp8` only: of its blocks, row-major, in
  DType blockScaleDtype = DType::f32;  // f32, f16 or bf16
  int64_t headRows = 0;  // rows of a head that are stored in the order 0, n/2, 1, n/2 + 1 …; 0: as they are
  std::optional<Quantization> quantize{};  // takes precedence over Manifest::quantize

  /** Whether the bytes in the file are those of the tensor. */
  bool asStored() const { return blocks == BlockType::none && headRows == 0; }
};

/** The files of a checkpoint and its tensors by role (types/native.d.ts), from headers that lib/checkpoint
 * has read. */
struct Manifest {
  std::vector<std::string> files;
  std::unordered_map<std::string, TensorLocation> tensors;
  std::optional<Quantization> quantize;  // quantizes the unquantized matmul weights that it takes
  bool copied = false;  // copies weights into backend memory even if the files could be used in place
};

/** Progress of loading or writing. */
struct LoadProgress {
  int64_t bytes = 0, totalBytes = 0, tensors = 0, totalTensors = 0;
};

}  // namespace rnd1
