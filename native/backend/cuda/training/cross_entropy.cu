// Cross entropy of blocks of the vocabulary, and its gradient in place of the logits.
#include "backend/cuda/device/reduce.h"
#include "backend/cuda/device/shared.h"
#include "backend/cuda/launch.h"
#include "backend/cuda/training/kernels.h"

namespace rnd1::cuda {
namespace {

constexpr int statisticsThreads = 256;

/** A block per row and block of the vocabulary. */
__global__ void __launch_bounds__(statisticsThreads)
    statisticsKernel(Tensor logits, const int32_t* targets, int64_t first, LogitStatistics statistics) {
  auto* scratch = reinterpret_cast<double*>(sharedMemory());  // (2 · statisticsThreads / 32)
  const int64_t row = blockIdx.x, begin = blockIdx.y * statisticsBlock;
  const int64_t end = min(begin + statisticsBlock, logits.columns);
  const float* values = logits.row(row);
  float maximum = -INFINITY;
  for (int64_t i = begin + threadIdx.x; i < end; i += statisticsThreads) maximum = fmaxf(maximum, values[i]);
  maximum = static_cast<float>(blockReduce<statisticsThreads>(
      static_cast<double>(maximum), scratch, [](double a, double b) { return a > b ? a : b; }));
  double sum = 0;
  for (int64_t i = begin + threadIdx.x; i < end; i += statisticsThreads) sum += expf(values[i] - maximum);
  sum = blockReduce<statisticsThreads>(sum, scratch + statisticsThreads / 32,
                                       [](double a, double b) { return a + b; });
  if (threadIdx.x != 0) return;
  const int64_t at = row * statistics.blocks + first / statisticsBlock + blockIdx.y;
  statistics.maxima[at] = maximum;
  statistics.sums[at] = sum;
  const int64_t target = targets[row] - first;
  if (target >= begin && target < end) statistics.targetLogits[row] = values[target];
}

__global__ void __launch_bounds__(statisticsThreads)
    finishKernel(int64_t rows, LogitStatistics statistics, double* out) {
  const int64_t row = int64_t{blockIdx.x} * statisticsThreads + threadIdx.x;
  if (row >= rows) return;
  float* maxima = statistics.maxima + row * statistics.blocks;
  double* sums = statistics.sums + row * statistics.blocks;
  float largest = maxima[0];
  for (int64_t block = 1; block < statistics.blocks; ++block) largest = fmaxf(largest, maxima[block]);
  double sum = 0;
  for (int64_t block = 0; block < statistics.blocks; ++block)
    sum += sums[block] * exp(static_cast<double>(maxima[block]) - static_cast<double>(largest));
  maxima[0] = largest;
  sums[0] = sum;
  out[row] = log(sum) + static_cast<double>(largest) - static_cast<double>(statistics.targetLogits[row]);
}

__global__ void __launch_bounds__(statisticsThreads)
    gradientKernel(Tensor logits, ScoredRows scored, int64_t first, LogitStatistics statistics) {
  const int64_t row = blockIdx.x, column = int64_t{blockIdx.y} * statisticsThreads + threadIdx.x;
  if (column >= logits.columns) return;
  const float weight = scored.weights[row], maximum = statistics.maxima[row * statistics.blocks];
  const auto factor = static_cast<float>(weight / statistics.sums[row * statistics.blocks]);
  const float gradient = expf(logits.row(row)[column] - maximum) * factor;
  logits.row(row)[column] = column == scored.targets[row] - first ? gradient - weight : gradient;
}

}  // namespace

void logitStatistics(cudaStream_t stream, Tensor logits, const int32_t* targets, int64_t first,
                     const LogitStatistics& statistics) {
  launch(stream, "cross entropy",
         {dim3(static_cast<unsigned>(logits.rows), blocksFor(logits.columns, statisticsBlock)),
          statisticsThreads, 2 * (statisticsThreads / 32) * sizeof(double)},
         statisticsKernel, logits, targets, first, statistics);
}

void crossEntropies(cudaStream_t stream, int64_t rows, const LogitStatistics& statistics, double* out) {
  launch(stream, "cross entropy", {dim3(blocksFor(rows, statisticsThreads)), statisticsThreads}, finishKernel,
         rows, statistics, out);
}

void logitGradients(cudaStream_t stream, Tensor logits, const ScoredRows& scored, int64_t first,
                    const LogitStatistics& statistics) {
  launch(stream, "cross entropy (backward)",
         {dim3(static_cast<unsigned>(logits.rows), blocksFor(logits.columns, statisticsThreads)),
          statisticsThreads},
         gradientKernel, logits, scored, first, statistics);
}

}  // namespace rnd1::cuda
