#pragma once

#include <cstddef>
#include <cstdint>

#include "core/quantized.h"

/**
 * The quantized formats of GGUF files that can be read, and fp8 of safetensors (core/fp8.h), whose scales are
 * a tensor of their own. In GGUF files a row is a sequence of blocks, each with integers and f16 scales:
 *
 *   q8_0   32 columns, 34 bytes: f16 d, 32 int8 q                   value = d · q
 *   q4_0   32 columns, 18 bytes: f16 d, 32 × 4 bits q               value = d · (q − 8)
 *   q5_0   32 columns, 22 bytes: f16 d, 32 × the fifth bit of q, 32 × its lower 4 bits
 *                                                                   value = d · (q − 16)
 *   q4_k   256 columns, 144 bytes: f16 d and m, 8 × 6 bits s and t, 256 × 4 bits q; 32 columns share s and t
 *                                                                   value = d · s · q − m · t
 *   q5_k   256 columns, 176 bytes: as q4_k, with 256 × the fifth bit of q before the lower 4
 *   q6_k   256 columns, 210 bytes: 256 × 6 bits q, 16 int8 s, f16 d; 16 columns share s
 *                                                                   value = d · s · (q − 32)
 */
namespace rnd1 {

enum class BlockType : uint8_t { none, q8_0, q4_0, q4_k, q5_0, q5_k, q6_k, fp8 };

struct BlockSize {
  int64_t columns, bytes;
};

/** Columns and bytes of one block in a row; of `fp8` those of a number. `none` has no blocks, and is not
 * allowed. */
BlockSize blockSize(BlockType blocks);

/** Decodes a row, whole blocks of it. Not for fp8. */
void decodeRow(BlockType blocks, const std::byte* source, int64_t columns, float* out);

/** Whether `transcodePanel` makes this weight of a format: q8 of q8_0, q5 of q5_0 and q5_k, q4 of q4_0 and
 * q4_k, in groups of 32. */
bool keepsIntegers(BlockType blocks, const QuantizedShape& shape);

/**
 * Makes a panel of up to 16 rows in blocks, `strideBytes` apart. Integers stay as they are, but for −128,
 * which q8 does not have, and which becomes −127. Scales do, too, but for those of q4_k and q5_k, products
 * of two numbers, which are rounded to f16. Returns false, as `quantizePanel`, if a scale or minimum is NaN,
 * infinite or too large for f16.
 */
bool transcodePanel(BlockType blocks, const QuantizedShape& shape, const std::byte* source,
                    int64_t strideBytes, int64_t rows, const QuantizedPanel& panel);

}  // namespace rnd1
