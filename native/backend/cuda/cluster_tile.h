#pragma once

#include "backend/cuda/device/cluster.h"
#include "backend/cuda/device/dependent_launch.h"
#include "backend/cuda/device/tensor_map.h"
#include "backend/cuda/mma_tile.h"
#include "backend/cuda/quantized_tile.h"

namespace rnd1::cuda {

/**
 * Tiles of mma_tile.h whose blocks run in clusters, so that every tile of weights and of x is read from the
 * L2 cache once per cluster: `across` blocks with the same rows of x, by `down` blocks with the same weights.
 * Each block copies its share of both into the shared memory of those that need it. One more warp than
 * multiplies issues the copies, by single instructions (sm_90); barriers tell it when all blocks are done
 * with a stage. The bits are those of mma_tile.h.
 */
template <int rows, int groups>
constexpr int clusterThreads = mmaThreads<rows, groups> + 32;

/** Number of stages, so that two blocks fit a multiprocessor. */
template <int rows>
constexpr int clusterStages = rows == 64 ? 6 : 4;

template <DType stored, int rows, int stages>
struct ClusterMemory {
  static constexpr int panels = mmaColumns / panelRows;
  using Weights = std::conditional_t<isQuantized(stored), std::byte[panels][maxQuantizedTileBytes(stored)],
                                     uint16_t[mmaColumns * mmaInner]>;

  alignas(1024) uint16_t x[stages][rows * mmaInner];
  alignas(1024) Weights weights[stages];
  uint64_t full[stages], empty[stages];
};

/** The rows of x that a launch multiplies, and how. */
struct ClusterOperand {
  TensorMap map;  // a block's share of a tile: rows / across
  int32_t inner;
};

/** The weights of a tile, from row `row` of the matrix on: a tensor map of 64 / down rows, or panels. */
struct ClusterWeights {
  const TensorMap* map;
  WeightTile tile;
  int32_t row, columns;  // columns: weight rows from the tile's first on
};

/** The place of a block in its cluster. */
struct ClusterPlace {
  int across, down;  // size
  int column, row;
  uint16_t sameWeights, sameRows;  // blocks, a bit each

  __device__ __forceinline__ ClusterPlace(int across, int down) : across(across), down(down) {
    const auto rank = static_cast<int>(clusterRank());
    column = rank % across;
    row = rank / across;
    sameRows = static_cast<uint16_t>(((1u << across) - 1) << (row * across));
    uint32_t bits = 0;
    for (int r = 0; r < down; ++r) bits |= 1u << (r * across + column);
    sameWeights = static_cast<uint16_t>(bits);
  }
  __device__ __forceinline__ int blocks() const { return across * down; }
};

/**
 * The stream of tiles through a block's stages, one tile of weights after another, with the same rows of x.
 * All its threads construct it, in all blocks of the cluster.
 */
template <DType storedDtype, int rowCount, int groupCount, int stageCount>
class ClusterStream {
 public:
  static constexpr DType stored = storedDtype;
  static constexpr int products = 1, rows = rowCount, groups = groupCount, stages = stageCount;
  static constexpr int threads = mmaThreads<rows, groups>;  // that multiply
  using Memory = ClusterMemory<stored, rows, stages>;
  using Scales = typename MmaWeightsIn<stored, 1, rows>::Scales;

  __device__ __forceinline__ ClusterStream(Memory& shared, const ClusterPlace& place)
      : shared_(shared), place_(place) {
    if (threadIdx.x == 0) {
      for (int stage = 0; stage < stages; ++stage) {
        initBarrier(&shared.full[stage], 1);
        initBarrier(&shared.empty[stage], static_cast<uint32_t>(place.blocks() * threads / 32));
      }
      publishBarriers();
    }
    syncCluster();
  }

  /** Whether this warp issues the copies. */
  __device__ __forceinline__ static bool copies() { return threadIdx.x >= threads; }

  /** Starts loading the first weights into the L2 cache, as may be done before x is there. By one thread. */
  __device__ __forceinline__ void prefetch(const ClusterWeights& weights) const {
    if constexpr (!isQuantized(stored)) {
      const int first = place_.row * (mmaColumns / place_.down);
      for (int stage = 0; stage < stages; ++stage)
        prefetchBox(*weights.map, stage * mmaInner, weights.row + first);
    }
  }

  /** Copies the tiles of a product; `row`: the first row of x. By one thread. */
  __device__ __forceinline__ void copy(const ClusterOperand& x, int32_t row, const ClusterWeights& weights) {
    const int xShare = rows / place_.across;
    for (int32_t value = 0; value < x.inner; value += mmaInner) {
      // The first time, stages are empty: the phase before the first counts as complete.
      awaitBarrier(&shared_.empty[stage_], parity_ ^ 1);
      uint64_t* const full = &shared_.full[stage_];
      expectBytes(full, static_cast<uint32_t>(sizeof(shared_.x[0])) + weightBytes(weights));
      copyWeights(weights, value, full);
      copyBox<false>(shared_.x[stage_] + place_.column * xShare * mmaInner, x.map, value,
                     row + place_.column * xShare, full, place_.sameRows);
      advance();
    }
  }

  /** Multiplies them. By the warps that do not copy. */
  template <DType type>
  __device__ __forceinline__ void multiply(int32_t inner, const ClusterWeights& weights,
                                           MmaSums<1, rows, groups>& sums) {
    const auto lane = static_cast<int>(threadIdx.x) % 32;
    clearMmaSums(sums);
    tileBytes_ = tileBytesOf(weights);
    for (int32_t value = 0; value < inner; value += mmaInner) {
      awaitBarrier(&shared_.full[stage_], parity_);
      multiplyMmaStep<type>(*this, stage_, shared_.x[stage_], sums);
      __syncwarp();
      if (lane < place_.blocks()) arriveAt(&shared_.empty[stage_], static_cast<uint32_t>(lane));
      advance();
    }
  }

  /** To be called by all threads at the end: other blocks may still use this one's memory. */
  __device__ __forceinline__ void finish() const { syncCluster(); }

  __device__ __forceinline__ Scales scales(int stage, int, int half) const {
    if constexpr (isQuantized(stored)) {
      return {panel(stage), tileBytes_, half};
    } else {
      return {};
    }
  }
  template <DType type>
  __device__ __forceinline__ FragmentA load(int stage, int, int k, const Scales& scales) const {
    if constexpr (isQuantized(stored)) {
      return dequantized<type>(panel(stage), k, scales);
    } else {
      return loadMmaWeights(shared_.weights[stage], k);
    }
  }

 private:
  __device__ __forceinline__ void advance() {
    if (++stage_ < stages) return;
    stage_ = 0;
    parity_ ^= 1;
  }
  __device__ __forceinline__ const std::byte* panel(int stage) const {
    return shared_.weights[stage][threadIdx.x / 32 % Memory::panels];
  }
  /** Of a panel of quantized weights. */
  __device__ __forceinline__ static int tileBytesOf(const ClusterWeights& weights) {
    if constexpr (isQuantized(stored)) return quantizedTileBytes(stored, weights.tile.group);
    return 0;
  }
  /** Of a stage. */
  __device__ __forceinline__ static uint32_t weightBytes(const ClusterWeights& weights) {
    if constexpr (isQuantized(stored)) return static_cast<uint32_t>(Memory::panels * tileBytesOf(weights));
    return sizeof(typename Memory::Weights);
  }
  /** This block's share of a tile of weights. */
  __device__ __forceinline__ void copyWeights(const ClusterWeights& weights, int32_t value, uint64_t* full) {
    if constexpr (isQuantized(stored)) {
      const int share = Memory::panels / place_.down, bytes = tileBytesOf(weights);
      for (int i = 0; i < share; ++i) {
        const int panel = place_.row * share + i;
        const std::byte* source = panelOf(weights.tile.data, weights.tile.strideBytes,
                                          panel * static_cast<int32_t>(panelRows), weights.columns);
        copyToCluster(shared_.weights[stage_][panel], source + int64_t{value / mmaInner} * bytes,
                      static_cast<uint32_t>(bytes), full, place_.sameWeights);
      }
    } else {
      const int first = place_.row * (mmaColumns / place_.down);
      copyBox<true>(shared_.weights[stage_] + first * mmaInner, *weights.map, value, weights.row + first,
                    full, place_.sameWeights);
    }
  }

  Memory& shared_;
  const ClusterPlace place_;
  int stage_ = 0;
  uint32_t parity_ = 0;
  int tileBytes_ = 0;
};

/** How the blocks of a launch are divided into clusters: eight of them. */
struct ClusterShape {
  int across, down;
};

inline ClusterShape clusterShape(int64_t rows, int64_t tileRows) {
  if (rows > 3 * tileRows) return {2, 4};
  return rows > tileRows ? ClusterShape{4, 2} : ClusterShape{8, 1};
}

inline ClusterOperand clusterOperand(const Tensor& x, DType dtype, int rows, const ClusterShape& shape) {
  return {tensorMapOf(x.data, dtype, x.rows, x.columns, x.stride * 2, rows / shape.across),
          static_cast<int32_t>(x.columns)};
}

inline TensorMap clusterWeightMap(const Weight& weight, const ClusterShape& shape) {
  return tensorMapOf(weight.data, weight.dtype, weight.rows, weight.columns, weight.strideBytes,
                     mmaColumns / shape.down);
}

constexpr unsigned roundedUp(unsigned count, int multiple) {
  const auto size = static_cast<unsigned>(multiple);
  return (count + size - 1) / size * size;
}

}  // namespace rnd1::cuda
