#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "backend/backend.h"
#include "backend/cpu/partition.h"
#include "backend/cpu/quantized/kernels.h"
#include "core/parallel.h"

namespace rnd1::cpu {

constexpr int64_t maxBlockRows = 256;

/**
 * Splits `rows` rows into blocks of at most `max`, depending on their number, their length and `max` only.
 */
class RowBlocks {
 public:
  RowBlocks(int64_t rows, int64_t paddedColumns, int64_t tileRows, int64_t max = maxBlockRows);
  int64_t count() const { return count_; }
  RowBlock operator[](int64_t block) const;

 private:
  int64_t rows_, count_, tileRows_;
};

/** The format of quantized weights; the same for all weights of one call. */
struct QuantizedFormat {
  uint8_t dtype = formatQ8;
  int64_t group = 64;
  int64_t columns = 0;

  explicit QuantizedFormat(const Weight& weight);
  bool operator==(const QuantizedFormat&) const = default;

  int64_t groups() const { return (columns + group - 1) / group; }
  int64_t paddedColumns() const { return groups() * group; }
};

/** Columns of gate and up to compute at a time for a block of an expert's rows: the largest group. */
constexpr int64_t activatedColumns = 64;

/** Activation rows as int8: row-major, or in the tiles of their blocks. Never shrinks. */
class ByteRows {
 public:
  /** rowsByGroup: see QuantizedKernels. */
  explicit ByteRows(int64_t rowsByGroup) : rowsByGroup_(rowsByGroup) {}

  /** values: rows · padded columns. */
  void reserve(int64_t values);

  /** Row `index` in row-major order. */
  QuantizedRow row(int64_t index, const QuantizedFormat& format) { return inTile(index, 1, 0, 0, format); }
  /** Row r of a tile that starts at row `first` and has `rows` of them; columns from `column` on. */
  QuantizedRow inTile(int64_t first, int64_t rows, int64_t r, int64_t column, const QuantizedFormat& format);
  QuantizedTile tile(int64_t first, int64_t rows, const QuantizedFormat& format) const;

 private:
  int64_t rowsByGroup_;
  std::vector<int8_t> values_;
  std::vector<float> scales_;
  std::vector<GroupSum> sums_;
};

/**
 * The ops on quantized weights: activations are quantized once, weights stream through the cache once per
 * block of rows, and f32 activations of experts exist for one block per thread only. Each element of a result
 * depends on its own row only, bit for bit, whatever the other rows, the threads or the instruction set.
 */
class QuantizedOps {
 public:
  QuantizedOps(ThreadPool& pool, const QuantizedKernels& kernels);

  const char* instructionSet() const { return kernels_.name; }

  /** Sizes the scratch memory, so that ops do not allocate. */
  void reserve(const Limits& limits);

  /** out[:, columns of weight i] = x · weights[i]ᵀ, side by side. */
  void matmul(Tensor x, std::span<const Weight> weights, Tensor out);

  /** Quantizes the rows of x for `multiplyPart`, in blocks of at most `max`. */
  RowBlocks takeRows(Tensor x, const Weight& weight, int64_t max);
  /**
   * out[r · stride + c] = row r of the block · weight[first + c], c < columns; `first` is a multiple of
   * panelPair. Any thread may call it, with its own index.
   */
  void multiplyPart(const RowBlock& block, const Weight& weight, int64_t first, int64_t columns, float* out,
                    int64_t stride, int thread);

  /** out = Σ over the row's experts, in order of id: weight · down(silu(gate · x) ∘ (up · x)). */
  void experts(Tensor x, std::span<const ExpertWeights> weights, const Dispatch& dispatch, Tensor out);

  /** out = down(silu(gate · x) ∘ (up · x)). */
  void mlp(Tensor x, const ExpertWeights& weights, Tensor out);

 private:
  /** Work item of the first half of an MLP: a block of an expert's rows and a range of its columns. */
  struct GateUp {
    int32_t expert;
    int32_t firstColumn, columns;
    RowBlock block;  // among all rows, in the order of the dispatch
  };

  /** Scratch of one thread. */
  struct Scratch {
    explicit Scratch(int64_t rowsByGroup) : rows(rowsByGroup) {}

    ByteRows rows;                 // of one block, gathered
    std::vector<float> activated;  // (rows of a block, activatedColumns)
    std::vector<float> sums;       // (rows of a block, panelPair)
    std::vector<float> combined;   // (rows, panelPair): a few columns of the combined output
  };

  template <typename Job>
  void parallel(int64_t items, int64_t operations, Job&& job) {
    forEachItem(pool_, items, operations, worthSharing_, job);
  }

  void quantizeRows(Tensor x, const QuantizedFormat& format);
  void quantizeTiles(Tensor x, const RowBlocks& blocks, const QuantizedFormat& format);
  /**
   * sums[r] = the products of a block's row r with a pair of panels. The block's tiles start at row
   * `firstRow` of `rows`. Prefetches `next`.
   */
  void multiplyBlock(const ByteRows& rows, int64_t firstRow, const RowBlock& block, const PanelPair& pair,
                     const PanelPair& next, const QuantizedFormat& format, float* sums) const;
  /** Pairs of panels [pair, end) of a weight times a block of rows: out[r · stride], from column 0 on. */
  void multiplyPairs(const ByteRows& rows, const RowBlock& block, const Weight& weight,
                     const QuantizedFormat& format, int64_t pair, int64_t end, float* out, int64_t stride,
                     int thread);
  /** out[:, columns of weight i] = rows · weights[i]ᵀ for weights of one format; rows in tiles. */
  void multiplyTiles(const ByteRows& rows, const RowBlocks& blocks, std::span<const Weight> weights,
                     const QuantizedFormat& format, Tensor out);
  /** Copies a block of slots from row-major rows into tiles. */
  void gather(const RowBlock& block, const QuantizedFormat& format, ByteRows& into);
  /** Splits the rows of every expert into work items, and its columns if one item would be too large. */
  void planGateUp(const ExpertWeights& weights, std::span<const int32_t> offsets);
  /** activated_[rows of the work] = silu(gate · x) ∘ (up · x), as int8; x in tiles from row `firstRow`. */
  void gateUp(const GateUp& work, const ExpertWeights& weights, const ByteRows& x, int64_t firstRow,
              Scratch& scratch);

  static constexpr int64_t worthSharing_ = 1 << 17;

  ThreadPool& pool_;
  const QuantizedKernels& kernels_;
  ByteRows rows_, activated_;
  std::vector<Scratch> scratch_;
  std::vector<GateUp> work_;
  std::vector<int32_t> slotRows_;   // the row of each slot, in the order of the dispatch
  std::vector<float> slotWeights_;  // routing weight of each slot
};

/** The best kernels for an instruction set of `cpuInstructionSets` that this CPU supports. */
const QuantizedKernels& quantizedKernels(const std::string& instructionSet);

/** All kernels that this CPU supports, best first. */
std::vector<const QuantizedKernels*> runnableQuantizedKernels();

}  // namespace rnd1::cpu
