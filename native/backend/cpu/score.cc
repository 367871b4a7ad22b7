// Scores and the selection on the CPU: logits exist for a chunk of rows at a time.
#include <algorithm>
#include <cfloat>

#include "backend/cpu/cpu_backend.h"

namespace rnd1::cpu {

void CpuBackend::scoreRows(Tensor logits, bool givenLogits, std::span<const ScoreRow> rows,
                           std::span<const SamplingPlan> plans, std::span<Score> scores) {
  parallel(logits.rows, logits.rows * logits.columns * 8, [&](int64_t row, int thread) {
    const ScoreRow& scored = rows[row];
    if (scored.position == 0) {
      scores[row] = {scored.token, -FLT_MAX, 0, -FLT_MAX, true};
      return;
    }
    scores[row] =
        scratch_[thread].sampler.score(kernels_, {logits.row(row), static_cast<size_t>(logits.columns)},
                                       givenLogits, scored, plans[scored.canvas]);
  });
}

void CpuBackend::score(Tensor x, const Weight& head, std::span<const ScoreRow> rows,
                       std::span<const SamplingPlan> plans, bool, std::span<Score> scores) {
  const int64_t chunk = scoreChunkRows(head.rows);
  for (int64_t first = 0; first < x.rows; first += chunk) {
    const int64_t count = std::min(chunk, x.rows - first);
    const Tensor chunkLogits(logitsChunk_.data(), count, head.rows);
    logits(x.rowRange(first, count), head, chunkLogits);
    scoreRows(chunkLogits, false, rows.subspan(first, count), plans, scores.subspan(first, count));
  }
}

void CpuBackend::scoreLogits(Tensor logits, std::span<const ScoreRow> rows,
                             std::span<const SamplingPlan> plans, std::span<Score> scores) {
  scoreRows(logits, true, rows, plans, scores);
}

void CpuBackend::unmask(std::span<const UnmaskCanvas> canvases, std::span<const ScoreRow> rows,
                        std::span<const uint8_t> eligible, std::span<Score> scores) {
  for (const UnmaskCanvas& canvas : canvases)
    selector_.select(canvas.plan, rows.subspan(canvas.first, canvas.count),
                     eligible.subspan(canvas.first, canvas.count),
                     scores.subspan(canvas.first, canvas.count));
}

}  // namespace rnd1::cpu
