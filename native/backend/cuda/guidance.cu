// Classifier-free guidance: u + (scale + 1) · (l − u), with the scale of the row's canvas. A block per part
// of a row.
#include "backend/cuda/device/dependent_launch.h"
#include "backend/cuda/kernels.h"
#include "backend/cuda/launch.h"

namespace rnd1::cuda {
namespace {

constexpr int guidanceThreads = 256;
constexpr int64_t guidancePart = 4096;

struct GuidanceArguments {
  Tensor logits, unconditional;
  const ScoreRow* rows;
  const SamplingPlan* plans;
};

__global__ void __launch_bounds__(guidanceThreads) guidanceKernel(GuidanceArguments given) {
  awaitPredecessors();
  const int64_t row = blockIdx.x;
  if (row >= given.logits.validRowCount()) return;
  const float factor = given.plans[given.rows[row].canvas].guidance + 1;
  float* const logits = given.logits.row(row);
  const float* const from = given.unconditional.row(row);
  const int64_t first = blockIdx.y * guidancePart;
  const int64_t columns = given.logits.columns;
  const int64_t end = first + guidancePart < columns ? first + guidancePart : columns;
  // Intrinsics, because the compiler would otherwise fuse the product and the sum.
  for (int64_t i = first + threadIdx.x; i < end; i += guidanceThreads)
    logits[i] = __fadd_rn(from[i], __fmul_rn(factor, __fadd_rn(logits[i], -from[i])));
}

}  // namespace

void guide(cudaStream_t stream, Tensor logits, Tensor unconditional, const ScoreRow* rows,
           const SamplingPlan* plans) {
  const dim3 blocks(blocksFor(logits.rows, 1), blocksFor(logits.columns, guidancePart));
  launchEarly(stream, "guidance", {blocks, guidanceThreads}, guidanceKernel,
              GuidanceArguments{logits, unconditional, rows, plans});
}

}  // namespace rnd1::cuda
