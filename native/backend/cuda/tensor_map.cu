#include <string>

#include "backend/cuda/device/tensor_map.h"
#include "core/error.h"

namespace rnd1::cuda {
namespace {

using Encode = CUresult (*)(CUtensorMap*, CUtensorMapDataType, cuuint32_t, void*, const cuuint64_t*,
                            const cuuint64_t*, const cuuint32_t*, const cuuint32_t*, CUtensorMapInterleave,
                            CUtensorMapSwizzle, CUtensorMapL2promotion, CUtensorMapFloatOOBfill);

/** cuTensorMapEncodeTiled of the driver, which is not linked. */
Encode encodeFunction() {
  static const Encode encode = [] {
    void* function = nullptr;
    cudaDriverEntryPointQueryResult found = cudaDriverEntryPointSymbolNotFound;
    const cudaError_t status = cudaGetDriverEntryPointByVersion("cuTensorMapEncodeTiled", &function, 12000,
                                                                cudaEnableDefault, &found);
    if (status != cudaSuccess || found != cudaDriverEntryPointSuccess)
      throw Error(ErrorCode::cudaError, "the driver has no tensor maps");
    return reinterpret_cast<Encode>(function);
  }();
  return encode;
}

}  // namespace

TensorMap tensorMapOf(const void* data, DType dtype, int64_t rows, int64_t columns, int64_t strideBytes,
                      int boxRows) {
  TensorMap map;
  const cuuint64_t sizes[] = {static_cast<cuuint64_t>(columns), static_cast<cuuint64_t>(rows)};
  const cuuint64_t strides[] = {static_cast<cuuint64_t>(strideBytes)};
  const cuuint32_t box[] = {64, static_cast<cuuint32_t>(boxRows)};
  const cuuint32_t steps[] = {1, 1};
  const CUresult status = encodeFunction()(
      &map.encoded, dtype == DType::bf16 ? CU_TENSOR_MAP_DATA_TYPE_BFLOAT16 : CU_TENSOR_MAP_DATA_TYPE_FLOAT16,
      2, const_cast<void*>(data), sizes, strides, box, steps, CU_TENSOR_MAP_INTERLEAVE_NONE,
      CU_TENSOR_MAP_SWIZZLE_128B, CU_TENSOR_MAP_L2_PROMOTION_L2_256B, CU_TENSOR_MAP_FLOAT_OOB_FILL_NONE);
  if (status != CUDA_SUCCESS)
    throw Error(ErrorCode::cudaError, "describing a matrix for copies: error " + std::to_string(status));
  return map;
}

}  // namespace rnd1::cuda
