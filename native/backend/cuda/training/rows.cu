// Row-wise gradients: norms, rotary embedding, the embedding; copies and sums. All are memory-bound.
#include "backend/cuda/device/reduce.h"
#include "backend/cuda/device/shared.h"
#include "backend/cuda/launch.h"
#include "backend/cuda/training/kernels.h"

namespace rnd1::cuda {
namespace {

constexpr int rowThreads = 256;
constexpr int headThreads = 128;  // four warps, one head each

__global__ void __launch_bounds__(rowThreads) copyKernel(Tensor x, Tensor out) {
  const int64_t row = blockIdx.x;
  for (int64_t column = threadIdx.x; column < out.columns; column += rowThreads)
    out.row(row)[column] = x.row(row)[column];
}

__global__ void __launch_bounds__(rowThreads) addVectorKernel(const float* vector, Tensor out) {
  const int64_t row = blockIdx.x;
  for (int64_t column = threadIdx.x; column < out.columns; column += rowThreads)
    out.row(row)[column] += vector[column];
}

__global__ void __launch_bounds__(rowThreads) addKernel(const float* values, float* sums, int64_t count) {
  const int64_t i = int64_t{blockIdx.x} * rowThreads + threadIdx.x;
  if (i < count) sums[i] += values[i];
}

__global__ void __launch_bounds__(rowThreads) scatterKernel(Tensor x, const int32_t* rows, Tensor out) {
  const int64_t row = blockIdx.x;
  int64_t low = 0, high = x.rows;
  while (low < high) {
    const int64_t middle = (low + high) / 2;
    if (rows[middle] < row) {
      low = middle + 1;
    } else {
      high = middle;
    }
  }
  const float* source = low < x.rows && rows[low] == row ? x.row(low) : nullptr;
  for (int64_t column = threadIdx.x; column < out.columns; column += rowThreads)
    out.row(row)[column] = source ? source[column] : 0.0f;
}

/** The block of a token's first row adds all of its rows, in order. */
__global__ void __launch_bounds__(rowThreads)
    embedBackwardKernel(const int32_t* tokens, Tensor dout, float* dTable) {
  auto* scratch = reinterpret_cast<int32_t*>(sharedMemory());  // (rowThreads)
  const int64_t first = blockIdx.x;
  const int32_t token = tokens[first];
  int32_t earlier = 0;
  for (int64_t row = threadIdx.x; row < first; row += rowThreads) earlier |= tokens[row] == token ? 1 : 0;
  if (blockReduce<rowThreads>(earlier, scratch, [](int32_t a, int32_t b) { return a | b; }) != 0) return;
  float* target = dTable + token * dout.columns;
  for (int64_t start = first; start < dout.rows; start += rowThreads) {
    const int64_t mine = start + threadIdx.x;
    __syncthreads();  // the previous round's tokens have been read
    scratch[threadIdx.x] = mine < dout.rows ? tokens[mine] : -1;
    __syncthreads();
    for (int i = 0; i < rowThreads; ++i) {
      if (scratch[i] != token) continue;
      for (int64_t column = threadIdx.x; column < dout.columns; column += rowThreads)
        target[column] += dout.row(start + i)[column];
    }
  }
}

__global__ void __launch_bounds__(rowThreads)
    addBlocksKernel(const float* partial, int64_t blocks, int64_t stride, int64_t count, float* total) {
  const int64_t i = int64_t{blockIdx.x} * rowThreads + threadIdx.x;
  if (i >= count) return;
  float sum = total[i];
  for (int64_t block = 0; block < blocks; ++block) sum += partial[block * stride + i];
  total[i] = sum;
}

__global__ void __launch_bounds__(rowThreads)
    normBackwardKernel(Tensor residual, const float* scale, float epsilon, Tensor dout, Tensor dresidual,
                       float* factors) {
  auto* scratch = reinterpret_cast<float*>(sharedMemory());  // (2 · rowThreads / 32)
  const int64_t row = blockIdx.x, columns = residual.columns;
  const float *x = residual.row(row), *given = dout.row(row);
  float* out = dresidual.row(row);
  float squares = 0, sum = 0;
  for (int64_t column = threadIdx.x; column < columns; column += rowThreads) {
    squares += x[column] * x[column];
    sum += given[column] * scale[column] * x[column];
  }
  const auto add = [](float a, float b) { return a + b; };
  squares = blockReduce<rowThreads>(squares, scratch, add);
  sum = blockReduce<rowThreads>(sum, scratch + rowThreads / 32, add);
  const float factor = 1.0f / sqrtf(squares / static_cast<float>(columns) + epsilon);
  const float mean = sum * factor / static_cast<float>(columns);
  for (int64_t column = threadIdx.x; column < columns; column += rowThreads)
    out[column] += factor * (given[column] * scale[column] - x[column] * factor * mean);
  if (threadIdx.x == 0) factors[row] = factor;
}

/** Σ dout ∘ x · factor over one block of rows. */
__global__ void __launch_bounds__(rowThreads)
    normScaleKernel(Tensor residual, Tensor dout, const float* factors, float* partial) {
  const int64_t column = int64_t{blockIdx.x} * rowThreads + threadIdx.x, first = blockIdx.y * normBlock;
  if (column >= residual.columns) return;
  const int64_t end = min(first + normBlock, residual.rows);
  float sum = 0;
  for (int64_t row = first; row < end; ++row)
    sum += dout.row(row)[column] * (residual.row(row)[column] * factors[row]);
  partial[blockIdx.y * residual.columns + column] = sum;
}

struct HeadArguments {
  Tensor before, rotary, dQkv;
  HeadLayout layout;
  const float *queryScale, *keyScale;
  float epsilon;
  const int32_t* positions;
  float* factors;  // (rows, query and key heads)
  float* partial;  // (blocks of rows, 2 headDim + columns)

  __device__ int64_t rotatedHeads() const { return layout.heads + layout.keyValueHeads; }
  __device__ const float* scaleOf(int64_t head) const { return head < layout.heads ? queryScale : keyScale; }

  /** Element i of the gradient of a head before its rotation. */
  __device__ float turnedBack(int64_t row, int64_t head, int64_t i) const {
    const float* given = dQkv.row(row) + head * layout.headDim;
    const int64_t half = rotary.columns / 2;
    if (i >= 2 * half) return given[i];
    const float* cosines = rotary.row(positions[row]);
    const int64_t pair = i < half ? i : i - half;
    const float low = given[pair], high = given[pair + half];
    return i < half ? low * cosines[pair] + high * cosines[half + pair]
                    : high * cosines[pair] - low * cosines[half + pair];
  }
};

/** A warp per head and row: 1 / its root mean square. */
__global__ void __launch_bounds__(headThreads) headFactorsKernel(HeadArguments given) {
  const int64_t heads = given.rotatedHeads(), headDim = given.layout.headDim;
  const int64_t index = int64_t{blockIdx.x} * (headThreads / 32) + threadIdx.x / 32;
  if (index >= given.dQkv.rows * heads) return;
  const float* values = given.before.row(index / heads) + index % heads * headDim;
  float squares = 0;
  for (int64_t i = threadIdx.x % 32; i < headDim; i += 32) squares += values[i] * values[i];
  squares = warpSum(squares);
  if (threadIdx.x % 32 == 0)
    given.factors[index] = 1.0f / sqrtf(squares / static_cast<float>(headDim) + given.epsilon);
}

/** The gradients of the norms' scales over one block of rows: first of queries, then of keys. */
__global__ void __launch_bounds__(headThreads) headScalesKernel(HeadArguments given) {
  const int64_t headDim = given.layout.headDim, heads = given.rotatedHeads();
  const int64_t at = int64_t{blockIdx.x} * headThreads + threadIdx.x, first = blockIdx.y * normBlock;
  if (at >= 2 * headDim) return;
  const bool isQuery = at < headDim;
  const int64_t i = at % headDim;
  const int64_t firstHead = isQuery ? 0 : given.layout.heads, endHead = isQuery ? given.layout.heads : heads;
  const int64_t end = min(first + normBlock, given.dQkv.rows);
  float sum = 0;
  for (int64_t row = first; row < end; ++row)
    for (int64_t head = firstHead; head < endHead; ++head)
      sum += given.turnedBack(row, head, i) *
             (given.before.row(row)[head * headDim + i] * given.factors[row * heads + head]);
  given.partial[blockIdx.y * (2 * headDim + given.dQkv.columns) + at] = sum;
}

/** A warp per head and row. */
__global__ void __launch_bounds__(headThreads) headBackwardKernel(HeadArguments given) {
  const int64_t heads = given.rotatedHeads(), headDim = given.layout.headDim;
  const int64_t index = int64_t{blockIdx.x} * (headThreads / 32) + threadIdx.x / 32;
  if (index >= given.dQkv.rows * heads) return;
  const int64_t row = index / heads, head = index % heads, half = given.rotary.columns / 2;
  const int lane = static_cast<int>(threadIdx.x % 32);
  float* out = given.dQkv.row(row) + head * headDim;
  const float* scale = given.scaleOf(head);
  float factor = 1, mean = 0;
  const float* before = nullptr;
  if (scale) {
    before = given.before.row(row) + head * headDim;
    factor = given.factors[index];
    float sum = 0;
    for (int64_t i = lane; i < headDim; i += 32) sum += given.turnedBack(row, head, i) * scale[i] * before[i];
    mean = warpSum(sum) * factor / static_cast<float>(headDim);
  }
  const auto result = [&](int64_t i, float gradient) {
    return scale ? factor * (gradient * scale[i] - before[i] * factor * mean) : gradient;
  };
  // A pair is read before it is written, by one lane.
  for (int64_t i = lane; i < half; i += 32) {
    const float low = given.turnedBack(row, head, i), high = given.turnedBack(row, head, i + half);
    out[i] = result(i, low);
    out[i + half] = result(i + half, high);
  }
  for (int64_t i = 2 * half + lane; i < headDim; i += 32) out[i] = result(i, out[i]);
}

/** Sums of columns over one block of rows: of the bias. */
__global__ void __launch_bounds__(headThreads) headBiasKernel(HeadArguments given) {
  const int64_t column = int64_t{blockIdx.x} * headThreads + threadIdx.x, first = blockIdx.y * normBlock;
  if (column >= given.dQkv.columns) return;
  const int64_t end = min(first + normBlock, given.dQkv.rows), scales = 2 * given.layout.headDim;
  float sum = 0;
  for (int64_t row = first; row < end; ++row) sum += given.dQkv.row(row)[column];
  given.partial[blockIdx.y * (scales + given.dQkv.columns) + scales + column] = sum;
}

Grid perRow(int64_t rows, size_t sharedBytes = 0) {
  return {dim3(static_cast<unsigned>(rows)), rowThreads, sharedBytes};
}

}  // namespace

void copyRows(cudaStream_t stream, Tensor x, Tensor out) {
  launch(stream, "copy", perRow(out.rows), copyKernel, x, out);
}

void addRows(cudaStream_t stream, const float* vector, Tensor out) {
  launch(stream, "add vector", perRow(out.rows), addVectorKernel, vector, out);
}

void addValues(cudaStream_t stream, const float* values, float* sums, int64_t count) {
  launch(stream, "accumulate", {dim3(blocksFor(count, rowThreads)), rowThreads}, addKernel, values, sums,
         count);
}

void scatterRows(cudaStream_t stream, Tensor x, const int32_t* rows, Tensor out) {
  launch(stream, "scatter rows", perRow(out.rows), scatterKernel, x, rows, out);
}

void embedBackward(cudaStream_t stream, const int32_t* tokens, Tensor dout, float* dTable) {
  launch(stream, "embed (backward)", perRow(dout.rows, rowThreads * sizeof(int32_t)), embedBackwardKernel,
         tokens, dout, dTable);
}

void addBlocks(cudaStream_t stream, const float* partial, int64_t blocks, int64_t stride, int64_t count,
               float* total) {
  launch(stream, "add blocks", {dim3(blocksFor(count, rowThreads)), rowThreads}, addBlocksKernel, partial,
         blocks, stride, count, total);
}

void rmsNormBackward(cudaStream_t stream, Tensor residual, const Weight& scale, float epsilon, Tensor dout,
                     Tensor dresidual, float* dScale, float* factors, float* partial) {
  launch(stream, "norm (backward)", perRow(residual.rows, 2 * (rowThreads / 32) * sizeof(float)),
         normBackwardKernel, residual, reinterpret_cast<const float*>(scale.data), epsilon, dout, dresidual,
         factors);
  if (!dScale) return;
  const int64_t columns = residual.columns, blocks = blocksOf(residual.rows, normBlock);
  launch(stream, "norm scale (backward)",
         {dim3(blocksFor(columns, rowThreads), static_cast<unsigned>(blocks)), rowThreads}, normScaleKernel,
         residual, dout, factors, partial);
  addBlocks(stream, partial, blocks, columns, columns, dScale);
}

void normRopeBackward(cudaStream_t stream, Tensor before, const HeadLayout& layout, const HeadNorms& norms,
                      const int32_t* positions, Tensor rotary, Tensor dQkv,
                      const HeadNormGradients& gradients, float* factors, float* partial) {
  const auto* queryScale = reinterpret_cast<const float*>(norms.queryNorm.data);
  const auto* keyScale = reinterpret_cast<const float*>(norms.keyNorm.data);
  const HeadArguments given{before,   rotary,        dQkv,      layout,  queryScale,
                            keyScale, norms.epsilon, positions, factors, partial};
  const int64_t heads = dQkv.rows * (layout.heads + layout.keyValueHeads), headDim = layout.headDim;
  const int64_t blocks = blocksOf(dQkv.rows, normBlock), stride = 2 * headDim + dQkv.columns;
  const Grid warps{dim3(blocksFor(heads, headThreads / 32)), headThreads};
  const auto columns = [&](int64_t count) {
    return Grid{dim3(blocksFor(count, headThreads), static_cast<unsigned>(blocks)), headThreads};
  };
  const bool wantsScales = gradients.queryNorm || gradients.keyNorm;
  if (queryScale) launch(stream, "head norms (backward)", warps, headFactorsKernel, given);
  if (wantsScales) launch(stream, "head norms (backward)", columns(2 * headDim), headScalesKernel, given);
  launch(stream, "rotary (backward)", warps, headBackwardKernel, given);
  if (gradients.bias) launch(stream, "bias (backward)", columns(dQkv.columns), headBiasKernel, given);
  if (gradients.queryNorm) addBlocks(stream, partial, blocks, stride, headDim, gradients.queryNorm);
  if (gradients.keyNorm) addBlocks(stream, partial + headDim, blocks, stride, headDim, gradients.keyNorm);
  if (gradients.bias) addBlocks(stream, partial + 2 * headDim, blocks, stride, dQkv.columns, gradients.bias);
}

}  // namespace rnd1::cuda
