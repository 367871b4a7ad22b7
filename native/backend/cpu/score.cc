// Scores and unmasking on the CPU.
#include <algorithm>
#include <cmath>

#include "backend/cpu/matmul.h"

namespace rnd1::cpu {

void CpuBackend::scoreRows(Tensor logits, bool givenLogits, std::span<const ScoreRow> rows,
                           std::span<const SamplingPlan> plans, std::span<Score> scores) {
  parallel(logits.rows, logits.rows * logits.columns * 8, [&](int64_t row, int thread) {
    const ScoreRow& scored = rows[row];
    scores[row] = scored.predicted ? scratch_[thread].sampler.score(
                                         kernels_, {logits.row(row), static_cast<size_t>(logits.columns)},
                                         givenLogits, scored, plans[scored.canvas])
                                   : unpredicted(scored);
  });
}

template <typename RowsOf, typename Multiply>
void CpuBackend::scoreParts(Tensor x, const Weight& lmHead, int64_t rowParts, RowsOf&& rowsOf,
                            Multiply&& multiply, std::span<const ScoreRow> rows,
                            std::span<const SamplingPlan> plans, std::span<Score> scores) {
  const int64_t columnParts = blocksOf(lmHead.rows, statisticsColumns);
  // All rows use a part of the LM head before the next part is read.
  parallel(columnParts * rowParts, x.rows * x.columns * lmHead.rows, [&](int64_t item, int thread) {
    const int64_t part = item / rowParts;
    const int64_t first = part * statisticsColumns;
    const int64_t columns = std::min(statisticsColumns, lmHead.rows - first);
    const RowBlock block = rowsOf(item % rowParts);
    float* logits = scratch_[thread].logits.data();
    multiply(block, first, columns, logits, thread);
    for (int64_t row = block.first; row < block.first + block.rows; ++row, logits += columns)
      statistics_.data()[row * columnParts + part] =
          partialStatistics(kernels_, {logits, static_cast<size_t>(columns)}, static_cast<int32_t>(first),
                            plans[rows[row].canvas].banned, plans[rows[row].canvas].divisor());
  });
  for (int64_t row = 0; row < x.rows; ++row) {
    const RowStatistics* parts = statistics_.data() + row * columnParts;
    RowStatistics total = parts[0];
    for (int64_t part = 1; part < columnParts; ++part) addStatistics(total, parts[part]);
    scores[row] = rows[row].predicted ? greedyScore(total, false) : unpredicted(rows[row]);
  }
}

void CpuBackend::scoreFused(Tensor x, const Weight& lmHead, std::span<const ScoreRow> rows,
                            std::span<const SamplingPlan> plans, std::span<Score> scores) {
  const int64_t wantedParts = std::max<int64_t>(2 * threads() / blocksOf(lmHead.rows, statisticsColumns), 1);
  const int64_t rowPart = partOf(x.rows, wantedParts, scoredAtOnce);
  if (lmHead.quantized()) {
    static_assert(statisticsColumns % panelPair == 0);
    const RowBlocks blocks = quantized_->takeRows(x, lmHead, rowPart);
    scoreParts(
        x, lmHead, blocks.count(), [&](int64_t part) { return blocks[part]; },
        [&](const RowBlock& block, int64_t first, int64_t columns, float* logits, int thread) {
          quantized_->multiplyPart(block, lmHead, first, columns, logits, columns, thread);
        },
        rows, plans, scores);
  } else {
    const RowSource source = matmulRows(x);
    scoreParts(
        x, lmHead, blocksOf(x.rows, rowPart),
        [&](int64_t part) {
          return RowBlock{part * rowPart, std::min(rowPart, x.rows - part * rowPart)};
        },
        [&](const RowBlock& block, int64_t first, int64_t columns, float* logits, int thread) {
          multiplyBlock(rowsFrom(source, block.first), block.rows, lmHead, first, columns, logits, columns,
                        scratch_[thread]);
        },
        rows, plans, scores);
  }
}

void CpuBackend::score(Tensor x, const Weight& lmHead, std::span<const ScoreRow> rows,
                       std::span<const SamplingPlan> plans, bool greedyUnfiltered, std::span<Score> scores) {
  if (greedyUnfiltered) return scoreFused(x, lmHead, rows, plans, scores);
  reserveLogits(x.rows, lmHead.rows);
  const int64_t chunk = scoreChunkRows(lmHead.rows);
  for (int64_t first = 0; first < x.rows; first += chunk) {
    const int64_t count = std::min(chunk, x.rows - first);
    const Tensor chunkLogits(logitsChunk_.data(), count, lmHead.rows);
    logits(x.rowRange(first, count), lmHead, chunkLogits);
    scoreRows(chunkLogits, false, rows.subspan(first, count), plans, scores.subspan(first, count));
  }
}

void CpuBackend::scoreGuided(Tensor x, Tensor unconditional, const Weight& lmHead,
                             std::span<const ScoreRow> rows, std::span<const SamplingPlan> plans,
                             std::span<Score> scores) {
  reserveLogits(2 * x.rows, lmHead.rows);
  const int64_t chunk = scoreChunkRows(lmHead.rows) / 2;
  for (int64_t first = 0; first < x.rows; first += chunk) {
    const int64_t count = std::min(chunk, x.rows - first);
    const Tensor guided(logitsChunk_.data(), count, lmHead.rows);
    const Tensor others(guided.row(count), count, lmHead.rows);
    logits(x.rowRange(first, count), lmHead, guided);
    logits(unconditional.rowRange(first, count), lmHead, others);
    const auto chunkRows = rows.subspan(first, count);
    parallel(count, count * lmHead.rows, [&](int64_t row, int) {
      const float factor = plans[chunkRows[row].canvas].guidance + 1;
      float* const values = guided.row(row);
      const float* const from = others.row(row);
      for (int64_t i = 0; i < lmHead.rows; ++i) {
        const float difference = factor * (values[i] - from[i]);
        values[i] = from[i] + difference;
      }
    });
    scoreRows(guided, false, chunkRows, plans, scores.subspan(first, count));
  }
}

void CpuBackend::scoreLogits(Tensor logits, std::span<const ScoreRow> rows,
                             std::span<const SamplingPlan> plans, std::span<Score> scores) {
  scoreRows(logits, true, rows, plans, scores);
}

void CpuBackend::unmask(std::span<const UnmaskCanvas> canvases, std::span<const ScoreRow> rows,
                        std::span<const uint8_t> eligible, std::span<Score> scores) {
  for (const UnmaskCanvas& canvas : canvases)
    unmasker_.unmask(canvas.plan, rows.subspan(canvas.first, canvas.count),
                     eligible.subspan(canvas.first, canvas.count),
                     scores.subspan(canvas.first, canvas.count));
}

}  // namespace rnd1::cpu
