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
 * Quantizes a matrix that lies in the file from `offset` on (`matrix.data` is not read), into memory of the
 * backend, which the caller releases by `Weight::data`. Reads and quantizes by the threads of the pool, a few
 * panels at a time. Throws Error io, out_of_memory, aborted, or invalid_checkpoint naming `where` when the
 * weight holds what has no scale.
 */
Weight quantize(const File& file, uint64_t offset, const Weight& matrix, const Quantization& quantization,
                const std::string& where, Backend& backend, ThreadPool& pool, const AbortFlag& abort);

/** What is thrown for a tensor that holds what has no scale; `where` names file and tensor. */
Error unscalable(const std::string& where, DType dtype);

}  // namespace rnd1
