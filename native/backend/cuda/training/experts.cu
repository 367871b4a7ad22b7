// Experts of training: lists of slots, SwiGLU with its gradient, sums over the experts of a row.
#include "backend/cuda/device/reduce.h"
#include "backend/cuda/device/shared.h"
#include "backend/cuda/launch.h"
#include "backend/cuda/training/kernels.h"

namespace rnd1::cuda {
namespace {

constexpr int slotThreads = 128;
constexpr int groupThreads = 256;
constexpr int listThreads = 256;

__global__ void __launch_bounds__(listThreads) markKernel(const int32_t* rows, int64_t count, uint8_t* kept) {
  const int64_t i = int64_t{blockIdx.x} * listThreads + threadIdx.x;
  if (i < count) kept[rows[i]] = 1;
}

/** A block per expert counts the slots before its own, then lists its own in ascending order. */
__global__ void __launch_bounds__(groupThreads) regroupKernel(Dispatch dispatch, const uint8_t* kept) {
  auto* scratch = reinterpret_cast<int32_t*>(sharedMemory());  // (groupThreads)
  const auto expert = static_cast<int32_t>(blockIdx.x);
  const int64_t k = dispatch.expertsPerToken, slots = dispatch.rows * k;
  const int thread = static_cast<int>(threadIdx.x);
  const auto expertOf = [&](int64_t slot) {
    return slot < slots && kept[slot / k] ? dispatch.expertIds[slot] : INT32_MAX;
  };
  int32_t before = 0;
  for (int64_t slot = thread; slot < slots; slot += groupThreads) before += expertOf(slot) < expert ? 1 : 0;
  int32_t next = blockReduce<groupThreads>(before, scratch, [](int32_t a, int32_t b) { return a + b; });
  if (thread == 0) dispatch.offsets[expert] = next;
  for (int64_t first = 0; first < slots; first += groupThreads) {
    const bool mine = expertOf(first + thread) == expert;
    const uint32_t ballot = __ballot_sync(allLanes, mine);
    __syncthreads();  // all threads have read the previous round's counts
    if (thread % 32 == 0) scratch[thread / 32] = __popc(ballot);
    __syncthreads();
    int32_t position = next;
    for (int warp = 0; warp < groupThreads / 32; ++warp) {
      if (warp < thread / 32) position += scratch[warp];
      next += scratch[warp];
    }
    if (mine)
      dispatch.slots[position + __popc(ballot & ((1u << (thread % 32)) - 1))] =
          static_cast<int32_t>(first + thread);
  }
  if (thread == 0 && expert == dispatch.experts - 1) dispatch.offsets[expert + 1] = next;
}

__global__ void __launch_bounds__(listThreads) listKernel(Dispatch dispatch, SlotLists lists) {
  const int64_t slot = int64_t{blockIdx.x} * listThreads + threadIdx.x;
  if (slot >= dispatch.offsets[dispatch.experts]) return;
  const int32_t choice = dispatch.slots[slot];
  lists.rows[slot] = choice / static_cast<int32_t>(dispatch.expertsPerToken);
  lists.factors[slot] = dispatch.weights[choice];
  lists.places[choice] = static_cast<int32_t>(slot);
}

__device__ __forceinline__ float sigmoidOf(float x) { return 1.0f / (1.0f + expf(-x)); }

__global__ void __launch_bounds__(slotThreads)
    swigluKernel(Tensor gate, Tensor up, const float* factors, const int32_t* last, Tensor out) {
  const int64_t slot = blockIdx.x;
  if (last && slot >= *last) return;
  const float factor = factors ? factors[slot] : 1.0f;
  for (int64_t i = threadIdx.x; i < out.columns; i += slotThreads) {
    const float a = gate.row(slot)[i];
    out.row(slot)[i] = a * sigmoidOf(a) * up.row(slot)[i] * factor;
  }
}

__global__ void __launch_bounds__(slotThreads)
    swigluBackwardKernel(Tensor gate, Tensor up, Tensor gradient, const float* factors, const int32_t* slots,
                         const int32_t* last, float* dWeights) {
  auto* scratch = reinterpret_cast<float*>(sharedMemory());  // (slotThreads / 32)
  const int64_t slot = blockIdx.x;
  if (last && slot >= *last) return;
  const float factor = factors ? factors[slot] : 1.0f;
  float total = 0;
  for (int64_t i = threadIdx.x; i < gate.columns; i += slotThreads) {
    const float a = gate.row(slot)[i], u = up.row(slot)[i], given = gradient.row(slot)[i];
    const float sigmoid = sigmoidOf(a), silu = a * sigmoid, dh = given * factor;
    total += given * (silu * u);
    gate.row(slot)[i] = dh * u * (sigmoid * (a * (1.0f - sigmoid) + 1.0f));
    up.row(slot)[i] = dh * silu;
    gradient.row(slot)[i] = silu * u * factor;
  }
  if (!dWeights) return;
  total = blockReduce<slotThreads>(total, scratch, [](float a, float b) { return a + b; });
  if (threadIdx.x == 0) dWeights[slots[slot]] = total;
}

__global__ void __launch_bounds__(slotThreads)
    sumSlotsKernel(Tensor products, Dispatch dispatch, const int32_t* places, Tensor out, bool accumulates) {
  const int64_t row = blockIdx.x, k = dispatch.expertsPerToken;
  const int32_t* ids = dispatch.expertIds + row * k;
  for (int64_t column = threadIdx.x; column < out.columns; column += slotThreads) {
    float sum = accumulates ? out.row(row)[column] : 0.0f;
    int32_t last = -1;
    for (int64_t i = 0; i < k; ++i) {
      // The lowest id above the last one.
      int64_t next = -1;
      for (int64_t rank = 0; rank < k; ++rank)
        if (ids[rank] > last && (next < 0 || ids[rank] < ids[next])) next = rank;
      last = ids[next];
      const int32_t place = places[row * k + next];
      if (place >= 0) sum += products.row(place)[column];
    }
    out.row(row)[column] = sum;
  }
}

}  // namespace

void keepRows(cudaStream_t stream, const int32_t* rows, int64_t count, const Dispatch& dispatch,
              uint8_t* kept) {
  check(cudaMemsetAsync(kept, 0, static_cast<size_t>(dispatch.rows), stream), "keeping rows");
  launch(stream, "keep rows", {dim3(blocksFor(count, listThreads)), listThreads}, markKernel, rows, count,
         kept);
  launch(stream, "keep rows",
         {dim3(static_cast<unsigned>(dispatch.experts)), groupThreads, groupThreads / 32 * sizeof(int32_t)},
         regroupKernel, dispatch, kept);
}

void listSlots(cudaStream_t stream, const Dispatch& dispatch, const SlotLists& lists) {
  const int64_t slots = dispatch.rows * dispatch.expertsPerToken;
  check(cudaMemsetAsync(lists.places, 0xff, static_cast<size_t>(slots) * sizeof(int32_t), stream),
        "listing slots");
  launch(stream, "list slots", {dim3(blocksFor(slots, listThreads)), listThreads}, listKernel, dispatch,
         lists);
}

void swiglu(cudaStream_t stream, Tensor gate, Tensor up, const float* factors, const int32_t* last,
            Tensor out) {
  launch(stream, "SwiGLU", {dim3(static_cast<unsigned>(out.rows)), slotThreads}, swigluKernel, gate, up,
         factors, last, out);
}

void swigluBackward(cudaStream_t stream, Tensor gate, Tensor up, Tensor gradient, const float* factors,
                    const int32_t* slots, const int32_t* last, float* dWeights) {
  launch(stream, "SwiGLU (backward)",
         {dim3(static_cast<unsigned>(gate.rows)), slotThreads, slotThreads / 32 * sizeof(float)},
         swigluBackwardKernel, gate, up, gradient, factors, slots, last, dWeights);
}

void sumSlots(cudaStream_t stream, Tensor products, const Dispatch& dispatch, const int32_t* places,
              Tensor out, bool accumulates) {
  launch(stream, "experts (sum)", {dim3(static_cast<unsigned>(out.rows)), slotThreads}, sumSlotsKernel,
         products, dispatch, places, out, accumulates);
}

}  // namespace rnd1::cuda
