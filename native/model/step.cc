// A step: the layers, then scores and unmasking, as one sequence that a backend may record. The host uploads
// one block and downloads the scores.
#include <algorithm>
#include <functional>

#include "model/graph.h"

namespace rnd1 {

/**
 * Greedy unfiltered canvases first: their rows are scored without logits, whatever the other canvases are.
 */
void Model::packScores(std::span<const StepCanvas> canvases, const BatchShape& shape) {
  const Prediction prediction = architecture_.prediction;
  int32_t counts[2] = {0, 0};  // of greedy unfiltered rows, of the others
  int32_t gathered = 0;
  int32_t* banned = batch_.banned.host;
  for (const bool greedy : {true, false})
    for (size_t i = 0; i < canvases.size(); ++i) {
      const StepCanvas& canvas = canvases[i];
      if (canvas.sampling.greedyUnfiltered(architecture_.vocabulary) != greedy) continue;
      int32_t& count = counts[greedy ? 0 : 1];
      const auto first = static_cast<int32_t>(greedy ? 0 : shape.rows) + count;
      const auto rows = static_cast<int32_t>(canvas.masked.size());
      for (int32_t m = 0; m < rows; ++m) {
        const int32_t position = canvas.masked[m];
        batch_.scored.host[first + m] =
            prediction.scoreRow(static_cast<int32_t>(i), position, canvas.tokens[position]);
        batch_.eligible.host[first + m] = canvas.eligible[m];
        // If no row predicts a position, any row will do.
        if (!greedy) batch_.gatherFiltered.host[count + m] = gathered;
        batch_.gather.host[gathered++] = batch_.offsets.host[i] + std::max(prediction.row(position), 0);
      }
      count += rows;
      batch_.unmask.host[i] = {first, rows, canvas.unmask};
      batch_.sampling.host[i] = canvas.sampling;
      const std::span<const int32_t> ids = canvas.sampling.banned;
      std::copy(ids.begin(), ids.end(), banned);
      batch_.sampling.host[i].banned = {batch_.banned.device + (banned - batch_.banned.host), ids.size()};
      banned += ids.size();
    }
  batch_.counts.host[Batch::scoredRows] = gathered;
  batch_.counts.host[Batch::greedyRows] = counts[0];
  batch_.counts.host[Batch::filteredRows] = counts[1];
}

void Model::scoreAndUnmask(Tensor normed, const BatchShape& shape) {
  const auto scored = [&](int64_t region) {
    return std::span<const ScoreRow>(batch_.scored.device + region * shape.rows, shape.rows);
  };
  const auto scores = [&](int64_t region) {
    return std::span(scores_.data() + region * shape.rows, shape.rows);
  };
  const std::span<const SamplingPlan> plans(batch_.sampling.device, shape.canvases);
  const auto rowsOf = [&](float* data, Batch::Count count) {
    const int64_t rows = backend_->bucket(batch_.counts.host[count], shape.rows);
    return Tensor(data, rows, normed.columns).limitedTo(batch_.counts.device + count);
  };
  blocks_.head.score(rowsOf(normed.data, Batch::greedyRows), scored(0), plans, true, scores(0));
  if (shape.filters) {
    const Tensor filtered = rowsOf(gathered_.data(), Batch::filteredRows);
    backend_->gatherRows(normed, batch_.gatherFiltered.device, filtered);
    blocks_.head.score(filtered, scored(1), plans, false, scores(1));
  }
  const auto regions = static_cast<size_t>(shape.filters ? 2 : 1);
  const size_t rows = regions * static_cast<size_t>(shape.rows);
  backend_->unmask({batch_.unmask.device, static_cast<size_t>(shape.canvases)}, {batch_.scored.device, rows},
                   {batch_.eligible.device, rows}, {scores_.data(), rows});
}

void Model::step(std::span<StepCanvas> canvases, const AbortFlag& abort) {
  blocks_.checkFiles();
  const auto count = static_cast<int64_t>(canvases.size());
  BatchShape shape;
  int64_t rows = 0, length = 0, scored = 0;
  for (const StepCanvas& canvas : canvases) {
    const auto size = static_cast<int64_t>(canvas.tokens.size());
    rows += size;
    length = std::max(length, size);
    scored += static_cast<int64_t>(canvas.masked.size());
    shape.filters = shape.filters || !canvas.sampling.greedyUnfiltered(architecture_.vocabulary);
    shape.banned += static_cast<int64_t>(canvas.sampling.banned.size());
  }
  shape.rows = backend_->bucket(rows, rows);
  shape.canvases = backend_->bucket(count, count);
  reserve(shape, length, scored);
  Rows packed = pack(canvases, shape);
  packScores(canvases, shape);
  packed.wanted = {batch_.gather.device, backend_->bucket(scored, shape.rows),
                   batch_.counts.device + Batch::scoredRows};

  const auto ops = [&] {
    const Tensor normed = runLayers(packed, abort, nullptr);
    abort.throwIfAborted();
    scoreAndUnmask(normed, shape);
  };
  const auto fetch = [&](int64_t region, Batch::Count which) {
    backend_->download(hostScores_.data() + region * shape.rows, scores_.data() + region * shape.rows,
                       static_cast<size_t>(batch_.counts.host[which]) * sizeof(Score));
  };
  settled([&] {
    batch_.upload();
    // By reference: a copied function object would allocate.
    backend_->runSequence({shape.rows, shape.canvases, shape.filters}, std::cref(ops));
    fetch(0, Batch::greedyRows);
    fetch(1, Batch::filteredRows);
    backend_->synchronize();
  });
  blocks_.checkFiles();

  for (size_t i = 0; i < canvases.size(); ++i) {
    StepCanvas& canvas = canvases[i];
    std::copy_n(hostScores_.data() + batch_.unmask.host[i].first, canvas.masked.size(),
                canvas.scores.begin());
    canvas.finite = std::all_of(canvas.scores.begin(), canvas.scores.end(),
                                [](const Score& score) { return score.finite; });
  }
}

}  // namespace rnd1
