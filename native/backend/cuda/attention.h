#pragma once

#include <cuda_runtime.h>

#include "backend/backend.h"

namespace rnd1::cuda {

/** Arguments of Backend::attention. */
struct AttentionArguments {
  Tensor query, key, value, out;
  HeadLayout layout;
  AttentionRows rows;
  AttentionMask mask;
  float scale;
  float* logSumExp;  // (query rows, heads), or null
};

/** Backend::cacheKeys. */
void cacheKeys(cudaStream_t stream, DType computeDtype, Tensor key, Tensor value, CanvasOffsets canvases,
               const int32_t* positions, const LayerCaches& caches);

/** Any dtype, any head size. */
void attentionAnyHead(cudaStream_t stream, DType computeDtype, const AttentionArguments& given);

/** Whether attention uses tensor cores: a 16-bit compute dtype and head dimension 64 or 128. */
constexpr bool attentionSuitsMma(DType computeDtype, int64_t headDim) {
  return computeDtype != DType::f32 && (headDim == 64 || headDim == 128);
}

/** Queries, keys and values have 16 bits. */
void attentionMma(cudaStream_t stream, DType computeDtype, const AttentionArguments& given);

}  // namespace rnd1::cuda
