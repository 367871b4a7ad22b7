#pragma once

#include "backend/cuda/device/numbers.h"
#include "backend/cuda/device/reduce.h"

namespace rnd1::cuda {

constexpr int scoreThreads = 256;

/** Copies of each bin, so that few lanes of a warp add to the same one: the first digits of most logits are
 * alike. */
constexpr int binCopies = 8;

/** The tokens that filters keep: logits above a value, and logits equal to it up to an id. */
struct Cut {
  uint32_t bits = 0;
  int32_t lastId = INT32_MAX;

  __device__ bool keeps(float logit, int32_t id) const {
    const uint32_t ordered = orderedBits(logit);
    return logit > -INFINITY && (ordered > bits || (ordered == bits && id <= lastId));
  }
};

/** Shared memory of a block. */
struct ScoreMemory {
  double partial[scoreThreads / 32];  // partial results of a reduction, of any type
  // The halves of sums, (256, binCopies): shared memory adds 32 bits by itself, but not 64.
  uint32_t low[256 * binCopies], high[256 * binCopies];
  unsigned long long above, at;
  uint32_t bits;
  int32_t found;
};

/** A row of logits, processed by all threads of the block. */
struct Row {
  float* logits;
  int32_t count;
  ScoreMemory& shared;

  /** body(logit, id) for this thread's share of the row. */
  template <typename Body>
  __device__ __forceinline__ void forEach(Body body) const {
    for (int32_t id = static_cast<int32_t>(threadIdx.x); id < count; id += scoreThreads) body(logits[id], id);
  }

  /** combine over the block, in a fixed order; every thread gets the result. */
  template <typename T, typename Combine>
  __device__ T reduce(T value, Combine combine) const {
    static_assert(sizeof(T) <= sizeof(double));
    __syncthreads();  // the previous result has been read
    return blockReduce<scoreThreads>(value, reinterpret_cast<T*>(shared.partial), combine);
  }
  template <typename T>
  __device__ T sum(T value) const {
    return reduce(value, [](T a, T b) { return a + b; });
  }
  __device__ uint64_t largest(uint64_t key) const {
    return reduce(key, [](uint64_t a, uint64_t b) { return a > b ? a : b; });
  }
};

}  // namespace rnd1::cuda
