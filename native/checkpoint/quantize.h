#pragma once

#include <string>

#include "backend/backend.h"
#include "checkpoint/manifest.h"
#include "core/abort.h"
#include "core/error.h"
#include "core/parallel.h"
#include "io/file.h"

namespace rnd1 {

/**
 * Quantizes a matrix of the file into backend memory, which the caller releases by `Weight::data`. The pool's
 * threads read and quantize a few panels at a time. Throws Error io, out_of_memory, aborted, or
 * invalid_checkpoint naming `where` if the weight holds values that cannot be quantized.
 */
Weight quantize(const File& file, const TensorLocation& matrix, const Quantization& quantization,
                const std::string& where, Backend& backend, ThreadPool& pool, const AbortFlag& abort);

/** The error for a tensor with values that cannot be quantized; `where` names file and tensor. */
Error unscalable(const std::string& where, DType dtype);

}  // namespace rnd1
