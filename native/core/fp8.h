#pragma once

#include <cstddef>
#include <cstdint>

#include "core/dtype.h"
#include "core/quantized.h"

/**
 * FP8 weights as FP8 checkpoints store them: e4m3 numbers (a sign, 4 bits of exponent, 3 of fraction; ±448
 * the largest, no infinities), row-major, and a scale for each block of 128 × 128, those at the end smaller.
 *
 *   value = scale · number
 */
namespace rnd1 {

constexpr int64_t fp8Block = 128;

/** Blocks along a dimension of that size. */
constexpr int64_t fp8Blocks(int64_t size) { return sizeSum(size, fp8Block - 1) / fp8Block; }

/** The number with those bits; NaN for 0x7f and 0xff. */
float fp8ToFloat(uint8_t bits);

/** Round to nearest, ties to even; what is larger than 448 becomes that. `value` must not be NaN. */
uint8_t floatToFp8(float value);

/**
 * Quantizes up to 128 rows, `strideBytes` apart, of f32, f16 or bf16: `out` (rows, columns), `scales`
 * (blocks of columns). Scales are powers of two, the smallest for which no number exceeds 448, so that in
 * bf16 nothing is rounded but the numbers. Returns false if a value is NaN, infinite or larger than 57,344;
 * the results are then undefined. `source` may be unaligned.
 */
bool quantizeFp8(const std::byte* source, DType sourceDtype, int64_t strideBytes, int64_t rows,
                 int64_t columns, uint8_t* out, float* scales);

/**
 * Arranges up to 128 rows of numbers, `shape.columns` bytes apart, and the scales of their blocks as panels:
 * `first` and those that follow. Scales become bf16. Returns false if a number or a scale is NaN, or a scale
 * larger than 255.
 */
bool fp8Panels(const QuantizedShape& shape, const uint8_t* numbers, const float* scales, int64_t rows,
               const QuantizedPanel& first);

}  // namespace rnd1
