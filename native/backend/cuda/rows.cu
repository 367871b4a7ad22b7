// Row-wise ops: embed, add, gatherRows, addRmsNorm, normRope. All are memory-bound.
#include "backend/cuda/device/dependent_launch.h"
#include "backend/cuda/device/numbers.h"
#include "backend/cuda/device/reduce.h"
#include "backend/cuda/device/rms_norm.h"
#include "backend/cuda/device/shared.h"
#include "backend/cuda/kernels.h"
#include "backend/cuda/launch.h"

namespace rnd1::cuda {
namespace {

constexpr int headThreads = 128;  // four warps, one head each

__global__ void __launch_bounds__(rowThreads) embedKernel(const int32_t* tokens, Weight table, Tensor out) {
  awaitPredecessors();
  const int64_t row = blockIdx.x;
  if (row >= out.validRowCount()) return;
  const std::byte* source = table.data + tokens[row] * table.strideBytes;
  for (int64_t column = threadIdx.x; column < out.columns; column += rowThreads)
    out.row(row)[column] = element(table.dtype, source, column);
}

__global__ void __launch_bounds__(rowThreads) gatherKernel(Tensor x, const int32_t* rows, Tensor out) {
  awaitPredecessors();
  const int64_t row = blockIdx.x;
  if (row >= out.validRowCount()) return;
  const float* source = x.row(rows[row]);
  for (int64_t column = threadIdx.x; column < out.columns; column += rowThreads)
    out.row(row)[column] = source[column];
}

__global__ void __launch_bounds__(rowThreads) addKernel(Tensor x, Tensor out) {
  awaitPredecessors();
  const int64_t row = blockIdx.x;
  if (row >= out.validRowCount()) return;
  for (int64_t column = threadIdx.x; column < out.columns; column += rowThreads)
    out.row(row)[column] += x.row(row)[column];
}

template <DType type>
__global__ void __launch_bounds__(rowThreads) narrowKernel(Tensor x, Tensor out) {
  awaitPredecessors();
  const int64_t row = blockIdx.x;
  if (row >= x.validRowCount()) return;
  const float* source = x.row(row);
  auto* target = reinterpret_cast<uint32_t*>(halves(out, row));
  for (int64_t column = int64_t{threadIdx.x} * 2; column < out.stride; column += rowThreads * 2)
    target[column / 2] = pack<type>(column < x.columns ? source[column] : 0.0f,
                                    column + 1 < x.columns ? source[column + 1] : 0.0f);
}

/** A block per row. columns: 4, or 1 where rows are not aligned to as many. */
template <DType computeDtype, int columns>
__global__ void __launch_bounds__(rowThreads)
    addRmsNormKernel(Tensor residual, Tensor delta, Weight scale, float epsilon, Tensor out) {
  awaitPredecessors();
  auto* scratch = reinterpret_cast<float*>(sharedMemory());
  const int64_t row = blockIdx.x;
  if (row >= residual.validRowCount()) return;
  const auto deltaOf = [&](int64_t column) { return Columns<columns>::at(delta.row(row) + column); };
  if (delta.data) {
    normRow<computeDtype, columns>(residual, row, deltaOf, scale, epsilon, scratch, out);
  } else {
    normRow<computeDtype, columns>(residual, row, nullptr, scale, epsilon, scratch, out);
  }
}

struct NormRopeArguments {
  Tensor qkv, rotary;
  HeadLayout layout;
  HeadNorms norms;
  const int32_t* positions;
};

/**
 * One head of one row by a warp: queries and keys are normed and rotated, values only rounded, after the
 * bias. set(i, value) stores the rounded values; in place is fine.
 */
template <typename Set>
__device__ __forceinline__ void normRopeHead(const NormRopeArguments& given, int64_t row, int64_t head,
                                             Set set) {
  const HeadLayout& layout = given.layout;
  const HeadNorms& norms = given.norms;
  float* values = given.qkv.row(row) + head * layout.headDim;
  const int lane = static_cast<int>(threadIdx.x % 32);
  if (norms.bias.data) {
    for (int64_t i = lane; i < layout.headDim; i += 32)
      values[i] += element(norms.bias.dtype, norms.bias.data, head * layout.headDim + i);
    // Lanes read what others wrote.
    __syncwarp();
  }
  if (head >= layout.heads + layout.keyValueHeads) {
    for (int64_t i = lane; i < layout.headDim; i += 32) set(i, values[i]);
    return;
  }
  // Not a reference to one of the two weights: that would copy the arguments to the stack.
  const bool isQuery = head < layout.heads;
  const std::byte* scale = isQuery ? norms.queryNorm.data : norms.keyNorm.data;
  const DType scaleDtype = isQuery ? norms.queryNorm.dtype : norms.keyNorm.dtype;
  const int64_t half = given.rotary.columns / 2;
  const float* cosines = given.rotary.row(given.positions[row]);
  float factor = 1;
  if (scale) {
    float squares = 0;
    for (int64_t i = lane; i < layout.headDim; i += 32) squares += values[i] * values[i];
    factor = 1.0f / sqrtf(warpSum(squares) / static_cast<float>(layout.headDim) + norms.epsilon);
  }
  const auto normed = [&](int64_t i) {
    return scale ? values[i] * factor * element(scaleDtype, scale, i) : values[i];
  };
  for (int64_t i = lane; i < half; i += 32) {
    const float low = normed(i), high = normed(i + half);
    set(i, low * cosines[i] - high * cosines[half + i]);
    set(i + half, high * cosines[i] + low * cosines[half + i]);
  }
  for (int64_t i = 2 * half + lane; i < layout.headDim; i += 32) set(i, normed(i));
}

__host__ __device__ __forceinline__ int64_t headCount(const HeadLayout& layout) {
  return layout.heads + 2 * layout.keyValueHeads;
}

/** In place: a warp per head and row. */
template <DType computeDtype>
__global__ void __launch_bounds__(headThreads) normRopeKernel(NormRopeArguments given) {
  awaitPredecessors();
  const int64_t heads = headCount(given.layout);
  const int64_t index = int64_t{blockIdx.x} * (headThreads / 32) + threadIdx.x / 32;
  if (index >= given.qkv.validRowCount() * heads) return;
  const int64_t row = index / heads, head = index % heads;
  float* values = given.qkv.row(row) + head * given.layout.headDim;
  normRopeHead(given, row, head, [&](int64_t i, float value) { values[i] = rounded<computeDtype>(value); });
}

/** Into the first half of each row, in 16 bits: a block per row, which has read all of it before it writes.
 */
template <DType type>
__global__ void __launch_bounds__(rowThreads) normRopeNarrowKernel(NormRopeArguments given, Tensor out) {
  awaitPredecessors();
  auto* results = reinterpret_cast<uint16_t*>(sharedMemory());
  const int64_t row = blockIdx.x, headDim = given.layout.headDim;
  if (row >= given.qkv.validRowCount()) return;
  for (int64_t head = threadIdx.x / 32; head < headCount(given.layout); head += rowThreads / 32)
    normRopeHead(given, row, head, [&](int64_t i, float value) {
      results[head * headDim + i] = static_cast<uint16_t>(pack<type>(value, 0.0f));
    });
  __syncthreads();
  const auto* source = reinterpret_cast<const uint4*>(results);
  auto* target = reinterpret_cast<uint4*>(halves(out, row));
  for (int64_t i = threadIdx.x; i < out.columns / 8; i += rowThreads) target[i] = source[i];
}

}  // namespace

void embed(cudaStream_t stream, const int32_t* tokens, const Weight& table, Tensor out) {
  launchEarly(stream, "embed", {dim3(blocksFor(out.rows, 1)), rowThreads}, embedKernel, tokens, table, out);
}

void add(cudaStream_t stream, Tensor x, Tensor out) {
  launchEarly(stream, "add", {dim3(blocksFor(out.rows, 1)), rowThreads}, addKernel, x, out);
}

void gatherRows(cudaStream_t stream, Tensor x, const int32_t* rows, Tensor out) {
  launchEarly(stream, "gatherRows", {dim3(blocksFor(out.rows, 1)), rowThreads}, gatherKernel, x.words(), rows,
              out.words());
}

Tensor narrow(cudaStream_t stream, DType computeDtype, Tensor x, uint16_t* memory) {
  Tensor out = x;
  out.data = reinterpret_cast<float*>(memory);
  out.stride = narrowStride(x.columns);
  out.dtype = computeDtype;
  const Grid grid{dim3(blocksFor(x.rows, 1)), rowThreads};
  if (computeDtype == DType::bf16) {
    launchEarly(stream, "narrow", grid, narrowKernel<DType::bf16>, x, out);
  } else {
    launchEarly(stream, "narrow", grid, narrowKernel<DType::f16>, x, out);
  }
  return out;
}

void addRmsNorm(cudaStream_t stream, DType computeDtype, Tensor residual, const Tensor* delta,
                const Weight& scale, float epsilon, Tensor out) {
  const Grid grid{dim3(blocksFor(residual.rows, 1)), rowThreads, rowThreads / 32 * sizeof(float)};
  const bool fours = inFours(residual) && (!delta || inFours(*delta));
  dispatchDType(computeDtype, [&]<DType type>() {
    launchEarly(stream, "addRmsNorm", grid, fours ? addRmsNormKernel<type, 4> : addRmsNormKernel<type, 1>,
                residual, delta ? *delta : Tensor(), scale, epsilon, out);
  });
}

void normRope(cudaStream_t stream, DType computeDtype, Tensor qkv, const HeadLayout& layout,
              const HeadNorms& norms, const int32_t* positions, Tensor rotary, Tensor out) {
  const NormRopeArguments given{qkv, rotary, layout, norms, positions};
  if (out.dtype == DType::f32) {
    const Grid grid{dim3(blocksFor(qkv.rows * headCount(layout), headThreads / 32)), headThreads};
    dispatchDType(computeDtype,
                  [&]<DType type>() { launchEarly(stream, "normRope", grid, normRopeKernel<type>, given); });
    return;
  }
  const Grid grid{dim3(blocksFor(qkv.rows, 1)), rowThreads,
                  static_cast<size_t>(out.columns) * sizeof(uint16_t)};
  if (computeDtype == DType::bf16) {
    launchEarly(stream, "normRope", grid, normRopeNarrowKernel<DType::bf16>, given, out);
  } else {
    launchEarly(stream, "normRope", grid, normRopeNarrowKernel<DType::f16>, given, out);
  }
}

}  // namespace rnd1::cuda
