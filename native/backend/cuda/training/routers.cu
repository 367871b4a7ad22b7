// Gradients of softmax routers, and the sums of their losses.
#include "backend/cuda/device/reduce.h"
#include "backend/cuda/launch.h"
#include "backend/cuda/training/kernels.h"

namespace rnd1::cuda {
namespace {

constexpr int routerThreads = 128;  // four warps, one row each

/** The softmax of a row of logits, by one warp. */
struct Softmax {
  const float* logits;
  float maximum = -INFINITY, sum = 0;

  __device__ Softmax(const float* row, int64_t experts) : logits(row) {
    const int lane = static_cast<int>(threadIdx.x % 32);
    for (int64_t expert = lane; expert < experts; expert += 32) maximum = fmaxf(maximum, logits[expert]);
    maximum = warpReduce(maximum, [](float a, float b) { return fmaxf(a, b); });
    for (int64_t expert = lane; expert < experts; expert += 32) sum += expf(logits[expert] - maximum);
    sum = warpSum(sum);
  }
  __device__ float of(int64_t expert) const { return expf(logits[expert] - maximum) / sum; }
  __device__ float logSumExp() const { return maximum + logf(sum); }
};

/** A warp per block of rows: lanes own experts. */
__global__ void __launch_bounds__(32) sumsKernel(Dispatch dispatch, double* partial) {
  const int lane = static_cast<int>(threadIdx.x);
  const int64_t experts = dispatch.experts, first = blockIdx.x * normBlock;
  const int64_t end = min(first + normBlock, dispatch.rows);
  double* sums = partial + blockIdx.x * (experts + 1);
  for (int64_t i = lane; i <= experts; i += 32) sums[i] = 0;
  __syncwarp();
  for (int64_t row = first; row < end; ++row) {
    const Softmax softmax(dispatch.routerLogits + row * experts, experts);
    for (int64_t expert = lane; expert < experts; expert += 32) sums[expert] += softmax.of(expert);
    const double logSumExp = softmax.logSumExp();
    if (lane == 0) sums[experts] += logSumExp * logSumExp;
  }
}

__global__ void __launch_bounds__(routerThreads)
    totalsKernel(const double* partial, int64_t blocks, int64_t experts, double* totals) {
  const int64_t i = int64_t{blockIdx.x} * routerThreads + threadIdx.x;
  if (i > experts) return;
  double sum = 0;
  for (int64_t block = 0; block < blocks; ++block) sum += partial[block * (experts + 1) + i];
  totals[i] = sum;
}

/** A warp per expert counts the rows that chose it, kept or not. */
__global__ void __launch_bounds__(32) countKernel(Dispatch dispatch, int32_t* counts) {
  const auto expert = static_cast<int32_t>(blockIdx.x);
  const int64_t slots = dispatch.rows * dispatch.expertsPerToken;
  int32_t count = 0;
  for (int64_t slot = threadIdx.x; slot < slots; slot += 32)
    count += dispatch.expertIds[slot] == expert ? 1 : 0;
  count = warpReduce(count, [](int32_t a, int32_t b) { return a + b; });
  if (threadIdx.x == 0) counts[expert] = count;
}

/** A warp per row; lanes own experts. */
__global__ void __launch_bounds__(routerThreads)
    backwardKernel(Dispatch dispatch, RouteOptions options, const float* dRoutingWeights, RouterLosses losses,
                   Tensor dLogits) {
  const int64_t row = int64_t{blockIdx.x} * (routerThreads / 32) + threadIdx.x / 32;
  if (row >= dispatch.rows) return;
  const int lane = static_cast<int>(threadIdx.x % 32);
  const int64_t experts = dispatch.experts, k = dispatch.expertsPerToken;
  const float *weights = dispatch.weights + row * k, *given = dRoutingWeights + row * k;
  const int32_t* ids = dispatch.expertIds + row * k;
  // The weights contain the scale, by which the gradient has to be multiplied, too.
  float mean = 0;
  for (int64_t rank = 0; rank < k; ++rank) mean += weights[rank] / options.scale * given[rank];
  const Softmax softmax(dispatch.routerLogits + row * experts, experts);
  float balance = 0;
  if (losses.balance) {
    for (int64_t expert = lane; expert < experts; expert += 32)
      balance += losses.balance[expert] * softmax.of(expert);
    balance = warpSum(balance);
  }
  const float z = losses.z * softmax.logSumExp();
  for (int64_t expert = lane; expert < experts; expert += 32) {
    const float p = softmax.of(expert);
    float sum = options.normalise ? 0.0f : -mean * options.scale * p;
    for (int64_t rank = 0; rank < k; ++rank)
      if (ids[rank] == expert) sum += weights[rank] * (options.normalise ? given[rank] - mean : given[rank]);
    if (losses.balance) sum += p * (losses.balance[expert] - balance);
    dLogits.row(row)[expert] = sum + z * p;
  }
}

}  // namespace

void routerSums(cudaStream_t stream, const Dispatch& dispatch, double* partial, double* totals,
                int32_t* counts) {
  const int64_t blocks = blocksOf(dispatch.rows, normBlock), experts = dispatch.experts;
  launch(stream, "router losses", {dim3(static_cast<unsigned>(blocks)), 32}, sumsKernel, dispatch, partial);
  launch(stream, "router losses", {dim3(blocksFor(experts + 1, routerThreads)), routerThreads}, totalsKernel,
         partial, blocks, experts, totals);
  launch(stream, "router losses", {dim3(static_cast<unsigned>(experts)), 32}, countKernel, dispatch, counts);
}

void routeBackward(cudaStream_t stream, const Dispatch& dispatch, const RouteOptions& options,
                   const float* dRoutingWeights, const RouterLosses& losses, Tensor dLogits) {
  launch(stream, "route (backward)", {dim3(blocksFor(dispatch.rows, routerThreads / 32)), routerThreads},
         backwardKernel, dispatch, options, dRoutingWeights, losses, dLogits);
}

}  // namespace rnd1::cuda
