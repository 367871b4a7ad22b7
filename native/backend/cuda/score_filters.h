#pragma once

#include "backend/cuda/device/exponential.h"
#include "backend/cuda/score_row.h"

/**
 * Top-k and top-p without sorting: the value at which they cut is found by a search over its bits, with
 * integer sums, which are the same in any order.
 */
namespace rnd1::cuda {

/** The value at which a sum over tokens, best first, crosses a threshold. */
struct Crossing {
  bool found = false;
  uint32_t bits = 0;             // that value
  unsigned long long above = 0;  // the sum over all larger values
  unsigned long long at = 0;     // the sum over those that are equal
};

/** Adds a weight to one of the copies of a bin. */
__device__ __forceinline__ void addToBin(ScoreMemory& shared, uint32_t bin, uint32_t weight) {
  atomicAdd(&shared.low[bin * binCopies + threadIdx.x % binCopies], weight);
}
__device__ __forceinline__ void addToBin(ScoreMemory& shared, uint32_t bin, unsigned long long weight) {
  if (weight == 0) return;
  const uint32_t index = bin * binCopies + threadIdx.x % binCopies;
  const auto low = static_cast<uint32_t>(weight);
  auto high = static_cast<uint32_t>(weight >> 32);
  if (atomicAdd(&shared.low[index], low) + low < low) ++high;  // the carry
  if (high > 0) atomicAdd(&shared.high[index], high);
}

/** Over the threads of a block, in their order: the sums up to and with each of them. scratch: shared memory
 * for a value per warp. */
__device__ __forceinline__ unsigned long long blockScan(unsigned long long value,
                                                        unsigned long long* scratch) {
  const unsigned warp = threadIdx.x / 32;
  value = warpScan(value);
  if (threadIdx.x % 32 == 31) scratch[warp] = value;
  __syncthreads();
  for (unsigned i = 0; i < warp; ++i) value += scratch[i];
  return value;
}

/**
 * Sums weight(logit) over the kept tokens, largest value first, until crossed(sum): a search over the bits of
 * the value, eight at a time. Weights are integers, of 32 or 64 bits, so that their sum does not depend on
 * the order of additions.
 */
template <typename Weight, typename Crossed>
__device__ Crossing findCrossing(const Row& row, const Cut& kept, Weight weight, Crossed crossed) {
  using Sum = decltype(weight(0.0f));
  static_assert(std::is_same_v<Sum, uint32_t> || std::is_same_v<Sum, unsigned long long>);
  static_assert(scoreThreads == 256, "a bin for each thread");
  ScoreMemory& shared = row.shared;
  Crossing result;
  for (int shift = 24; shift >= 0; shift -= 8) {
    __syncthreads();
    for (unsigned i = threadIdx.x; i < 256 * binCopies; i += scoreThreads) shared.low[i] = shared.high[i] = 0;
    __syncthreads();
    row.forEach([&](float logit, int32_t id) {
      const uint32_t bits = orderedBits(logit);
      // The bits above this piece must equal those already found (none at first).
      if (kept.keeps(logit, id) && static_cast<uint64_t>(bits) >> (shift + 8) == result.bits)
        addToBin(shared, bits >> shift & 255u, weight(logit));
    });
    __syncthreads();
    const unsigned bin = 255 - threadIdx.x;
    unsigned long long mine = 0;
    // Unrolled, it would need registers that the rest of the kernel has taken.
#pragma unroll 1
    for (unsigned i = bin * binCopies; i < (bin + 1) * binCopies; ++i)
      mine += static_cast<unsigned long long>(shared.high[i]) << 32 | shared.low[i];
    if (threadIdx.x == 0) shared.found = 0;
    const unsigned long long with =
        result.above + blockScan(mine, reinterpret_cast<unsigned long long*>(shared.partial));
    if (crossed(with) && (bin == 255 || !crossed(with - mine))) {
      shared.bits = result.bits << 8 | bin;
      shared.above = with - mine;
      shared.at = mine;
      shared.found = 1;
    }
    __syncthreads();
    result.found = shared.found != 0;
    if (!result.found) return result;
    result.bits = shared.bits;
    result.above = shared.above;
    result.at = shared.at;
  }
  return result;
}

/** The cut that keeps the best `wanted` ≥ 1 tokens kept by `before`; of equal ones the lowest ids, or all
 * (`ties`). */
__device__ inline Cut bestOf(const Row& row, const Cut& before, int32_t wanted, bool ties = false) {
  const auto count = static_cast<unsigned long long>(wanted);
  const Crossing cut = findCrossing(
      row, before, [](float) { return 1u; }, [&](unsigned long long sum) { return sum >= count; });
  if (!cut.found) return before;
  // Mostly a single token has the value of the cut, and nothing is left to decide.
  if (ties || cut.above + cut.at == count) return cut.bits == before.bits ? before : Cut{cut.bits};
  const auto left = static_cast<int32_t>(count - cut.above);
  // Among equal logits, finds the last id to keep.
  int32_t low = 0, high = row.count - 1;
  while (low < high) {
    const int32_t middle = low + (high - low) / 2;
    int32_t equal = 0;
    row.forEach([&](float logit, int32_t id) {
      equal += id <= middle && before.keeps(logit, id) && orderedBits(logit) == cut.bits ? 1 : 0;
    });
    if (row.sum(equal) >= left) {
      high = middle;
    } else {
      low = middle + 1;
    }
  }
  return {cut.bits, low};
}

/**
 * Number of tokens that top-p keeps: the first `atLeast` always, rank j while the sum of the probabilities up
 * to rank j − 1 is ≤ bound, compared in f32.
 */
__device__ inline int32_t nucleusSize(const Row& row, const Cut& kept, float maximum, float bound,
                                      int32_t atLeast) {
  constexpr float one = 0x1p60f;  // probabilities are added as multiples of 2⁻⁶⁰
  const auto relative = [&](float logit) { return exponential(exactDifference(logit, maximum)); };
  TwoFloats total;
  row.forEach([&](float logit, int32_t id) {
    if (kept.keeps(logit, id)) total = plus(total, relative(logit));
  });
  const TwoFloats share = twoFloats(1 / row.sum(total.value()));
  const auto mass = [&](float logit) {
    return static_cast<unsigned long long>(times(relative(logit), share).high * one);
  };
  const auto beyond = [&](unsigned long long sum) {
    return static_cast<float>(static_cast<double>(sum) / one) > bound;
  };
  const Crossing cut = findCrossing(row, kept, mass, beyond);
  if (!cut.found) return INT32_MAX;
  int32_t above = 0, equal = 0;
  uint64_t key = 0;
  row.forEach([&](float logit, int32_t id) {
    if (!kept.keeps(logit, id)) return;
    const uint32_t bits = orderedBits(logit);
    above += bits > cut.bits ? 1 : 0;
    equal += bits == cut.bits ? 1 : 0;
    if (bits == cut.bits) key = bestFirstKey(logit, id);
  });
  int32_t size = row.sum(above);
  equal = row.sum(equal);
  const unsigned long long each = mass(row.logits[idOfKey(row.largest(key))]);
  unsigned long long sum = cut.above;
  for (int32_t i = 0; i < equal && !beyond(sum); ++i, sum += each) ++size;
  return size < atLeast ? atLeast : size;
}

}  // namespace rnd1::cuda
