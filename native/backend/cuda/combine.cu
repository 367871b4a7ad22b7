// The sum over a row's experts, alone or with the norm that follows it.
#include "backend/cuda/device/dependent_launch.h"
#include "backend/cuda/device/rms_norm.h"
#include "backend/cuda/device/shared.h"
#include "backend/cuda/kernels.h"
#include "backend/cuda/launch.h"

namespace rnd1::cuda {
namespace {

constexpr size_t scratchBytes = rowThreads / 32 * sizeof(float);  // for normRow

/** One of a row's k experts: its place among them, and its weight. */
struct RankedExpert {
  int32_t rank;
  float weight;
};

/** The sum of a row's slots, in ascending order of expert. All threads of the block construct it. */
class SlotSum {
 public:
  __device__ __forceinline__ SlotSum(const Tensor& products, const Dispatch& dispatch, int64_t row)
      : experts_(reinterpret_cast<RankedExpert*>(sharedMemory() + scratchBytes)),
        slots_(products.row(row * dispatch.expertsPerToken)),
        stride_(products.stride),
        k_(static_cast<int32_t>(dispatch.expertsPerToken)) {
    const int32_t* ids = dispatch.expertIds + row * k_;
    for (auto rank = static_cast<int32_t>(threadIdx.x); rank < k_; rank += rowThreads) {
      int32_t before = 0;
      for (int32_t other = 0; other < k_; ++other)
        before += ids[other] < ids[rank] || (ids[other] == ids[rank] && other < rank) ? 1 : 0;
      experts_[before] = {rank, dispatch.weights[row * k_ + rank]};
    }
    __syncthreads();
  }

  template <int columns>
  __device__ __forceinline__ Columns<columns> at(int64_t column) const {
    Columns<columns> sums = {};
#pragma unroll 8
    for (int32_t i = 0; i < k_; ++i) {
      const RankedExpert expert = experts_[i];
      const auto slot = Columns<columns>::at(slots_ + expert.rank * stride_ + column);
#pragma unroll
      for (int c = 0; c < columns; ++c) sums.values[c] += expert.weight * slot.values[c];
    }
    return sums;
  }

 private:
  RankedExpert* experts_;  // (k), by ascending id
  float* slots_;
  int64_t stride_;
  int32_t k_;
};

/** A block per row. columns: 4, or 1 where rows are not aligned to as many. */
template <int columns>
__global__ void __launch_bounds__(rowThreads, 2)
    combineKernel(Tensor products, Dispatch dispatch, Tensor out) {
  awaitPredecessors();
  const int64_t row = blockIdx.x;
  if (row >= out.validRowCount()) return;
  const SlotSum sum(products, dispatch, row);
  for (int64_t column = threadIdx.x * columns; column < out.columns; column += rowThreads * columns)
    Columns<columns>::at(out.row(row) + column) = sum.at<columns>(column);
}

/** The same, added to the residual stream, which is then normed. */
template <DType computeDtype>
__global__ void __launch_bounds__(rowThreads, 2)
    combineRmsNormKernel(Tensor products, Dispatch dispatch, Tensor residual, Weight scale, float epsilon,
                         Tensor out) {
  awaitPredecessors();
  const int64_t row = blockIdx.x;
  if (row >= residual.validRowCount()) return;
  const SlotSum sum(products, dispatch, row);
  normRow<computeDtype, 4>(
      residual, row, [&](int64_t column) { return sum.at<4>(column); }, scale, epsilon,
      reinterpret_cast<float*>(sharedMemory()), out);
}

Grid gridOf(const Tensor& out, const Dispatch& dispatch) {
  return {dim3(blocksFor(out.rows, 1)), rowThreads,
          scratchBytes + static_cast<size_t>(dispatch.expertsPerToken) * sizeof(RankedExpert)};
}

}  // namespace

void combine(cudaStream_t stream, const SlotProducts& slots, Tensor out) {
  launchEarly(stream, "experts (combine)", gridOf(out, slots.dispatch),
              inFours(slots.products) && inFours(out) ? combineKernel<4> : combineKernel<1>, slots.products,
              slots.dispatch, out);
}

bool combinesWithNorm(const Tensor& products, const Tensor& residual) {
  return inFours(products) && inFours(residual);
}

void combineRmsNorm(cudaStream_t stream, DType computeDtype, const SlotProducts& slots, Tensor residual,
                    const Weight& scale, float epsilon, Tensor out) {
  dispatchDType(computeDtype, [&]<DType type>() {
    launchEarly(stream, "experts (combine), addRmsNorm", gridOf(out, slots.dispatch),
                combineRmsNormKernel<type>, slots.products, slots.dispatch, residual, scale, epsilon, out);
  });
}

}  // namespace rnd1::cuda
