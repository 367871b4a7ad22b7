#pragma once

#include "backend/cuda/device/copy.h"
#include "backend/cuda/device/integers.h"
#include "backend/cuda/mma_tile.h"
#include "backend/cuda/quantized_layout.h"
#include "backend/cuda/wide_tile.h"

/**
 * Tiles of mma_tile.h and wide_tile.h for weights in q8, q5, q4 and fp8: only the bytes of the file are
 * copied, and they become values of the compute dtype in registers.
 */
namespace rnd1::cuda {

static_assert(mmaInner == quantizedColumns && wideInner == quantizedColumns && mmaStages == wideStages);

/** Panels of a tile, for every stage. */
template <DType stored, int panels>
using QuantizedStages = std::byte[mmaStages][panels][maxQuantizedTileBytes(stored)];

/** Scale and offset of the two rows of a lane in a group of columns, each as a pair of equal values. */
template <DType stored>
struct QuantizedScales {
  static constexpr int scales = stored == DType::fp8 ? 1 : 2;  // of a lane: a tile of fp8 has one

  uint32_t scale[scales];
  uint32_t offset[scales];

  QuantizedScales() = default;
  /** Of one half of the columns of a tile of `tileBytes`, which may be one group. */
  __device__ __forceinline__ QuantizedScales(const std::byte* tile, int tileBytes, int half) {
    const int group = stored != DType::fp8 && tileBytes == maxQuantizedTileBytes(stored) ? half : 0;
    const std::byte* first = tile + quantizedValueBytes(stored) + group * quantizedScaleBytes(stored);
    for (int i = 0; i < scales; ++i) {
      const int row = scales == 1 ? 0 : static_cast<int>(threadIdx.x) % 32 / 4 + i * 8;
      if constexpr (hasMinimums(stored)) {
        const uint32_t both = reinterpret_cast<const uint32_t*>(first)[row];
        scale[i] = __byte_perm(both, both, 0x1010);
        offset[i] = __byte_perm(both, both, 0x3232);
      } else {
        scale[i] = reinterpret_cast<const uint16_t*>(first)[row] * 0x00010001u;
        offset[i] = 0x80008000u;  // −0
      }
    }
  }
};

/** The values of 16 columns, from 16 k on. */
template <DType type, DType stored>
__device__ __forceinline__ FragmentA dequantized(const std::byte* tile, int k,
                                                 const QuantizedScales<stored>& scales) {
  const int lane = static_cast<int>(threadIdx.x) % 32;
  FragmentA a;
  if constexpr (!hasMinimums(stored)) {
    const uint2 words = reinterpret_cast<const uint2*>(tile)[k * 32 + lane];
    for (int i = 0; i < 4; ++i) {
      const uint32_t word = i < 2 ? words.x : words.y;
      if constexpr (stored == DType::q8) {
        a.registers[i] = bytePair<type>(word >> (i % 2 * 8));
      } else {
        a.registers[i] = i % 2 ? fp8Pair<type, true>(word) : fp8Pair<type, false>(word);
      }
    }
  } else {
    const auto* words = reinterpret_cast<const uint32_t*>(tile);
    const uint32_t word = words[k * 32 + lane];
    if constexpr (stored == DType::q5) {
      const uint32_t fifths = rotated(words[nibbleBytes / 4 + lane], k * 4);
      for (int i = 0; i < 4; ++i)
        a.registers[i] = fiveBitPair<type>(rotated(word, i * 4), rotated(fifths, i));
    } else {
      for (int i = 0; i < 4; ++i) a.registers[i] = nibblePair<type>(rotated(word, i * 4));
    }
  }
  for (int i = 0; i < 4; ++i) {
    const int row = i % QuantizedScales<stored>::scales;
    a.registers[i] = multiplyAddPairs<type>(a.registers[i], scales.scale[row], scales.offset[row]);
  }
  return a;
}

/** Copies the panels of a tile. A warp copies every `threads / 32`-th of them. */
template <DType stored, int panels, int threads>
class QuantizedCopies {
 public:
  /** sourceOf(panel of the tile): where its first 64 columns are. */
  template <typename SourceOf>
  __device__ __forceinline__ QuantizedCopies(const WeightTile& weight, SourceOf sourceOf)
      : tileBytes_(quantizedTileBytes(stored, weight.group)) {
    for (int pass = 0; pass < passes; ++pass)
      if (copies(pass)) sources_[pass] = sourceOf(panel(pass)) + lane() * 16;
  }

  /** Starts copying 64 columns from `first` on; after the last one, nothing is read. */
  __device__ __forceinline__ void copy(std::byte (&stage)[panels][maxQuantizedTileBytes(stored)],
                                       int32_t first, int32_t inner) const {
    constexpr int warpBytes = 32 * 16, atLeast = quantizedTileBytes(stored, quantizedColumns);
    const int validBytes = first < inner ? 16 : 0;
    const int64_t from = int64_t{first / quantizedColumns} * tileBytes_;
    for (int pass = 0; pass < passes; ++pass) {
      if (!copies(pass)) break;
#pragma unroll
      for (int at = 0; at < maxQuantizedTileBytes(stored); at += warpBytes)
        if (at + warpBytes <= atLeast || at + lane() * 16 < tileBytes_)
          copyConstantAsync16(stage[panel(pass)] + at + lane() * 16, sources_[pass] + from + at, validBytes);
    }
  }

  __device__ __forceinline__ QuantizedScales<stored> scales(const std::byte* tile, int half) const {
    return {tile, tileBytes_, half};
  }

 private:
  static constexpr int warps = threads / 32, passes = (panels + warps - 1) / warps;

  __device__ __forceinline__ static int lane() { return static_cast<int>(threadIdx.x) % 32; }
  __device__ __forceinline__ static int panel(int pass) {
    return static_cast<int>(threadIdx.x) / 32 + pass * warps;
  }
  /** Whether this warp has a panel in a pass. */
  __device__ __forceinline__ static bool copies(int pass) {
    return panels % warps == 0 || panel(pass) < panels;
  }

  const int32_t tileBytes_;
  const std::byte* sources_[passes];
};

/** The panel that holds a row of a weight; after the last of `rows`, that of the last. */
__device__ __forceinline__ const std::byte* panelOf(const std::byte* data, int64_t strideBytes, int32_t row,
                                                    int32_t rows) {
  const int32_t last = rows - 1, inside = row < last ? row : last;
  return data + inside / panelRows * panelRows * strideBytes;
}
/** The same of one of several weights. */
template <int products>
__device__ __forceinline__ const std::byte* panelOf(const WeightTile (&weights)[products], int product,
                                                    int32_t row, int32_t rows) {
  // An index would put the array on the stack.
  return panelOf(product == 0 ? weights[0].data : weights[products - 1].data, weights[0].strideBytes, row,
                 rows);
}

/** As MmaWeights. */
template <DType stored, int productCount, int rowCount>
struct QuantizedMmaWeights {
  static constexpr int products = productCount, rows = rowCount, groups = rows <= 64 ? 1 : 2;
  static constexpr int panels = mmaColumns / panelRows;
  struct Memory {
    alignas(128) QuantizedStages<stored, products * panels> weights;
    alignas(128) uint16_t x[mmaStages][rows * mmaInner];
  };
  using Scales = QuantizedScales<stored>;

  Memory& shared;
  const int32_t inner;
  const QuantizedCopies<stored, products * panels, mmaThreads<rows>> copies;

  __device__ __forceinline__ QuantizedMmaWeights(Memory& shared, const WeightTile (&weights)[products],
                                                 int32_t columns, int64_t inner)
      : shared(shared), inner(static_cast<int32_t>(inner)), copies(weights[0], [&](int panel) {
          return panelOf(weights, panel / panels, panel % panels * static_cast<int32_t>(panelRows), columns);
        }) {}

  __device__ __forceinline__ void copy(int stage, int32_t first) const {
    copies.copy(shared.weights[stage], first, inner);
  }
  __device__ __forceinline__ void prefetch() const {
    for (int stage = 0; stage < mmaStages - 1; ++stage) copy(stage, stage * mmaInner);
  }
  __device__ __forceinline__ Scales scales(int stage, int product, int half) const {
    return copies.scales(tile(stage, product), half);
  }
  template <DType type>
  __device__ __forceinline__ FragmentA load(int stage, int product, int k, const Scales& scales) const {
    return dequantized<type>(tile(stage, product), k, scales);
  }

 private:
  __device__ __forceinline__ const std::byte* tile(int stage, int product) const {
    return shared.weights[stage][product * panels + static_cast<int>(threadIdx.x) / 32 % 4];
  }
};

/** As WideWeights. */
template <DType stored, int productCount>
struct QuantizedWideWeights {
  static constexpr int products = productCount;
  static constexpr int panels = wideWeights / panelRows;
  struct Memory {
    alignas(128) QuantizedStages<stored, panels> weights;
    alignas(128) uint16_t x[wideStages][wideRows * wideInner];
  };
  using Scales = QuantizedScales<stored>;

  Memory& shared;
  const int32_t inner;
  const QuantizedCopies<stored, panels, wideThreads> copies;

  __device__ __forceinline__ QuantizedWideWeights(Memory& shared, const WeightTile (&weights)[products],
                                                  int32_t columns, int64_t inner)
      : shared(shared), inner(static_cast<int32_t>(inner)), copies(weights[0], [&](int panel) {
          const WideRow<products> first(panel * static_cast<int>(panelRows));
          return panelOf(weights, first.product, first.row, columns);
        }) {}

  __device__ __forceinline__ void copy(int stage, int32_t first) const {
    copies.copy(shared.weights[stage], first, inner);
  }
  __device__ __forceinline__ void prefetch() const {
    for (int stage = 0; stage < wideStages - 1; ++stage) copy(stage, stage * wideInner);
  }
  __device__ __forceinline__ Scales scales(int stage, int firstRow, int half) const {
    return copies.scales(shared.weights[stage][firstRow / panelRows], half);
  }
  template <DType type>
  __device__ __forceinline__ FragmentA load(int stage, int firstRow, int k, const Scales& scales) const {
    return dequantized<type>(shared.weights[stage][firstRow / panelRows], k, scales);
  }
};

/** The weights of a tile in their format. */
template <DType stored, int products, int rows>
using MmaWeightsIn = std::conditional_t<isQuantized(stored), QuantizedMmaWeights<stored, products, rows>,
                                        MmaWeights<products, rows>>;
template <DType stored, int products>
using WideWeightsIn =
    std::conditional_t<isQuantized(stored), QuantizedWideWeights<stored, products>, WideWeights<products>>;

/** body.template operator()<compute dtype, format>() for weights that suit tensor cores. */
template <typename Body>
void dispatchMma(DType computeDtype, DType stored, Body&& body) {
  const auto dispatchFormat = [&]<DType type>() {
    if (stored == DType::q8) {
      body.template operator()<type, DType::q8>();
    } else if (stored == DType::q5) {
      body.template operator()<type, DType::q5>();
    } else if (stored == DType::q4) {
      body.template operator()<type, DType::q4>();
    } else if (stored == DType::fp8) {
      body.template operator()<type, DType::fp8>();
    } else {
      body.template operator()<type, type>();
    }
  };
  if (computeDtype == DType::bf16) {
    dispatchFormat.template operator()<DType::bf16>();
  } else {
    dispatchFormat.template operator()<DType::f16>();
  }
}

}  // namespace rnd1::cuda
