#pragma once

#include <functional>
#include <string>
#include <vector>

#include "checkpoint/manifest.h"
#include "core/abort.h"
#include "core/error.h"
#include "core/parallel.h"
#include "io/file.h"

namespace rnd1 {

/**
 * Quantizes a matrix of the files into memory of `allocate(bytes)`, where the result stays. The pool's
 * threads read and quantize a few panels at a time. Throws Error io, out_of_memory, aborted, or
 * invalid_checkpoint naming `where` if the weight holds values that cannot be quantized.
 */
Weight quantize(const std::vector<File>& files, const TensorLocation& matrix,
                const Quantization& quantization, const std::string& where,
                const std::function<std::byte*(int64_t)>& allocate, ThreadPool& pool, const AbortFlag& abort);

/** The error for a tensor with values that cannot be quantized; `where` names file and tensor. */
Error unscalable(const std::string& where, DType dtype);

}  // namespace rnd1
