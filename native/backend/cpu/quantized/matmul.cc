#include <algorithm>
#include <cstring>

#include "backend/cpu/quantized/panels.h"
#include "backend/cpu/quantized/quantized_ops.h"

namespace rnd1::cpu {
namespace {

static_assert(panelPair == 2 * rnd1::panelRows);
static_assert(formatQ8 == static_cast<uint8_t>(DType::q8) && formatQ4 == static_cast<uint8_t>(DType::q4) &&
              formatQ5 == static_cast<uint8_t>(DType::q5));

/** Bytes of a block of rows: half of a small L2 cache. */
constexpr int64_t blockBytes = 512 << 10;

template <typename T>
void grow(std::vector<T>& buffer, int64_t count) {
  if (static_cast<int64_t>(buffer.size()) < count) buffer.resize(static_cast<size_t>(count));
}

/** Padded columns, for any group. */
constexpr int64_t padded(int64_t columns) { return blocksOf(columns, 64) * 64; }

}  // namespace

RowBlocks::RowBlocks(int64_t rows, int64_t paddedColumns, int64_t tileRows, int64_t max)
    : rows_(rows),
      count_(blocksOf(rows, std::min(std::clamp(blockBytes / paddedColumns, tileRows, maxBlockRows), max))),
      tileRows_(tileRows) {}

RowBlock RowBlocks::operator[](int64_t block) const {
  RowBlock result;
  result.first = block * rows_ / count_;
  result.rows = (block + 1) * rows_ / count_ - result.first;
  result.tiles = blocksOf(result.rows, tileRows_);
  return result;
}

QuantizedFormat::QuantizedFormat(const Weight& weight)
    : dtype(static_cast<uint8_t>(weight.dtype)), group(weight.group), columns(weight.columns) {}

void ByteRows::reserve(int64_t values) {
  grow(values_, values);
  // The smallest group has 32 columns.
  grow(scales_, values / 32);
  grow(sums_, values / 32);
}

QuantizedRow ByteRows::inTile(int64_t first, int64_t rows, int64_t r, int64_t column,
                              const QuantizedFormat& format) {
  const int64_t group = first * format.groups() + column / format.group * rows + r;
  const bool byGroup = rows >= rowsByGroup_;
  return {values_.data() + first * format.paddedColumns() + column * rows + r * (byGroup ? format.group : 4),
          byGroup ? 4 : rows * 4,
          rows * format.group,
          scales_.data() + group,
          sums_.data() + group,
          rows};
}

QuantizedTile ByteRows::tile(int64_t first, int64_t rows, const QuantizedFormat& format) const {
  const int64_t group = first * format.groups();
  return {values_.data() + first * format.paddedColumns(), scales_.data() + group, sums_.data() + group,
          rows};
}

QuantizedOps::QuantizedOps(ThreadPool& pool, const QuantizedKernels& kernels)
    : pool_(pool), kernels_(kernels), rows_(kernels.rowsByGroup), activated_(kernels.rowsByGroup) {
  scratch_.reserve(static_cast<size_t>(pool.threads()));
  for (int thread = 0; thread < pool.threads(); ++thread) scratch_.emplace_back(kernels.rowsByGroup);
}

void QuantizedOps::reserve(const Limits& limits) {
  const int64_t slots = sizeProduct(limits.rows, limits.expertsPerToken);
  const int64_t innerValues = sizeProduct(limits.rows, padded(limits.innerColumns));
  rows_.reserve(innerValues);
  // A dense MLP has one slot a row, and its width is an inner dimension too.
  activated_.reserve(std::max(innerValues, sizeProduct(slots, padded(limits.expertWidth))));
  grow(slotRows_, slots);
  grow(slotWeights_, slots);
  for (Scratch& scratch : scratch_) {
    scratch.rows.reserve(std::max(blockBytes, kernels_.tileRows * padded(limits.innerColumns)));
    grow(scratch.activated, maxBlockRows * activatedColumns);
    grow(scratch.sums, maxBlockRows * panelPair);
    if (limits.expertsPerToken > 0) grow(scratch.combined, sizeProduct(limits.rows, panelPair));
  }
  // At most one block per expert, the blocks of all rows, and itemsPerThread parts per thread.
  const int64_t blocks =
      std::max<int64_t>(limits.experts, 1) +
      RowBlocks(std::max(slots, limits.rows), padded(limits.innerColumns), kernels_.tileRows).count();
  work_.reserve(static_cast<size_t>(blocks + itemsPerThread * pool_.threads()));
}

void QuantizedOps::quantizeTiles(Tensor x, const RowBlocks& blocks, const QuantizedFormat& format) {
  const auto job = [&](const RowBlock& block, int64_t tile) {
    const int64_t first = block.first + block.tileStart(tile), rows = block.tileRows(tile);
    for (int64_t r = 0; r < rows; ++r)
      kernels_.quantize(x.row(first + r), x.columns, format.group, format.dtype,
                        rows_.inTile(first, rows, r, 0, format));
  };
  if (x.rows == 0) return;
  // Blocks differ by at most one tile.
  const int64_t tiles = blocks[0].tiles + 1;
  parallel(blocks.count() * tiles, 8 * x.rows * x.columns, [&](int64_t item, int) {
    const RowBlock block = blocks[item / tiles];
    if (item % tiles < block.tiles) job(block, item % tiles);
  });
}

void QuantizedOps::multiplyBlock(const ByteRows& rows, int64_t firstRow, const RowBlock& block,
                                 const PanelPair& pair, const PanelPair& next, const QuantizedFormat& format,
                                 float* sums) const {
  constexpr int64_t line = 64;
  const int64_t wanted = linesOf(format.dtype, next.groups * next.group) * line;
  const int64_t perGroup = blocksOf(wanted / line, block.tiles * pair.groups) * line;
  PanelPair panels = pair;
  panels.prefetch = next.prefetch;
  panels.prefetch.bytesPerGroup = perGroup;
  int64_t fetched = 0;
  for (int64_t tile = 0; tile < block.tiles; ++tile) {
    const int64_t first = block.tileStart(tile);
    if (fetched >= wanted) panels.prefetch.bytesPerGroup = 0;
    kernels_.multiply(rows.tile(firstRow + first, block.tileRows(tile), format), panels,
                      sums + first * panelPair);
    fetched += pair.groups * perGroup;
    for (int p = 0; p < 2; ++p) panels.prefetch.first[p] = next.prefetch.first[p] + fetched;
  }
}

void QuantizedOps::multiplyPairs(const ByteRows& rows, const RowBlock& block, const Weight& weight,
                                 const QuantizedFormat& format, int64_t pair, int64_t end, float* out,
                                 int64_t stride, int thread) {
  const int64_t own = pairsOf(weight);
  float* sums = scratch_[static_cast<size_t>(thread)].sums.data();
  for (; pair < end; ++pair, out += panelPair) {
    const PanelPair panels = neighbours(weight, pair, format);
    const PanelPair next = neighbours(weight, pair + 1 < own ? pair + 1 : pair, format);
    const int64_t width = std::min(panelPair, weight.rows - pair * panelPair);
    multiplyBlock(rows, block.first, block, panels, next, format, sums);
    for (int64_t r = 0; r < block.rows; ++r)
      std::memcpy(out + r * stride, sums + r * panelPair, static_cast<size_t>(width) * sizeof(float));
  }
}

RowBlocks QuantizedOps::takeRows(Tensor x, const Weight& weight, int64_t max) {
  const QuantizedFormat format(weight);
  const RowBlocks blocks(x.rows, format.paddedColumns(), kernels_.tileRows, max);
  quantizeTiles(x, blocks, format);
  return blocks;
}

void QuantizedOps::multiplyPart(const RowBlock& block, const Weight& weight, int64_t first, int64_t columns,
                                float* out, int64_t stride, int thread) {
  multiplyPairs(rows_, block, weight, QuantizedFormat(weight), first / panelPair,
                blocksOf(first + columns, panelPair), out, stride, thread);
}

void QuantizedOps::multiplyTiles(const ByteRows& rows, const RowBlocks& blocks,
                                 std::span<const Weight> weights, const QuantizedFormat& format, Tensor out) {
  int64_t pairs = 0, columns = 0;
  for (const Weight& weight : weights) {
    pairs += pairsOf(weight);
    columns += weight.rows;
  }
  const int64_t ranges = std::min(pairs, blocksOf(itemsPerThread * pool_.threads(), blocks.count()));
  parallel(blocks.count() * ranges, out.rows * format.columns * columns, [&](int64_t item, int thread) {
    // Adjacent items share their rows.
    const RowBlock block = blocks[item / ranges];
    const int64_t range = item % ranges;
    int64_t skipped = range * pairs / ranges;
    int64_t left = (range + 1) * pairs / ranges - skipped;
    int64_t column = 0;
    for (const Weight& weight : weights) {
      const int64_t own = pairsOf(weight), count = std::clamp<int64_t>(own - skipped, 0, left);
      if (count > 0)
        multiplyPairs(rows, block, weight, format, skipped, skipped + count,
                      out.row(block.first) + column + skipped * panelPair, out.stride, thread);
      left -= count;
      skipped = std::max<int64_t>(skipped - own, 0);
      column += weight.rows;
    }
  });
}

void QuantizedOps::matmul(Tensor x, std::span<const Weight> weights, Tensor out) {
  if (x.rows == 0) return;
  int64_t column = 0;
  while (!weights.empty()) {
    const QuantizedFormat format(weights[0]);
    size_t alike = 0;
    int64_t columns = 0;
    for (; alike < weights.size() && QuantizedFormat(weights[alike]) == format; ++alike)
      columns += weights[alike].rows;
    // Threads that have too few columns to share them evenly share the rows too.
    const int64_t shares = blocksOf(4 * pool_.threads(), std::max<int64_t>(columns / panelPair, 1));
    const RowBlocks blocks(x.rows, format.paddedColumns(), kernels_.tileRows,
                           std::max(blocksOf(x.rows, shares), kernels_.tileRows));
    quantizeTiles(x, blocks, format);
    multiplyTiles(rows_, blocks, weights.first(alike), format, out.columnRange(column, columns));
    column += columns;
    weights = weights.subspan(alike);
  }
}

}  // namespace rnd1::cpu
