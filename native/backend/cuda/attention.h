#pragma once

#include <cuda_runtime.h>

#include "backend/backend.h"

namespace rnd1::cuda {

/** As Backend::attention has it. */
struct AttentionArguments {
  Tensor query, key, value, out;
  HeadLayout layout;
  CanvasOffsets queries, keys;
  float scale;
  float* logSumExp;  // (query rows, heads), or null
};

void attention(cudaStream_t stream, DType arithmetic, const AttentionArguments& given);

/** Any dtype, any head size. */
void attentionAnyHead(cudaStream_t stream, DType arithmetic, const AttentionArguments& given);

/** 16-bit arithmetic and heads of 64 or 128. */
void attentionMma(cudaStream_t stream, DType arithmetic, const AttentionArguments& given);

}  // namespace rnd1::cuda
