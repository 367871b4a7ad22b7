// A step: the layers, then scores and unmasking, as one sequence that a backend may record. The host uploads
// one block and downloads the scores.
#include <algorithm>
#include <functional>

#include "core/error.h"
#include "model/graph.h"

namespace rnd1 {
namespace {

constexpr ScoreRegion scoreRegions[] = {ScoreRegion::greedyUnfiltered, ScoreRegion::filtered,
                                        ScoreRegion::guided};

ScoreRegion regionOf(const StepCanvas& canvas, int64_t vocabulary) {
  if (!canvas.unconditional.empty()) return ScoreRegion::guided;
  return canvas.sampling.greedyUnfiltered(vocabulary) ? ScoreRegion::greedyUnfiltered : ScoreRegion::filtered;
}

bool has(const BatchShape& shape, ScoreRegion region) {
  return region == ScoreRegion::filtered ? shape.filters : region != ScoreRegion::guided || shape.guided;
}

/** The first row of a region among the scored rows. */
int64_t firstRow(const BatchShape& shape, ScoreRegion region) {
  if (region == ScoreRegion::greedyUnfiltered) return 0;
  return region == ScoreRegion::guided && shape.filters ? 2 * shape.rows : shape.rows;
}

}  // namespace

void Model::listSequences(std::span<const StepCanvas> canvases) {
  sequences_.assign(canvases.begin(), canvases.end());
  for (const StepCanvas& canvas : canvases) {
    if (canvas.unconditional.empty()) continue;
    if (canvas.unconditional.size() != canvas.tokens.size())
      throw Error(ErrorCode::invalidArgument, "the unconditional canvas is not as long as its canvas");
    StepCanvas other;
    other.tokens = canvas.unconditional;
    sequences_.push_back(other);
  }
}

void Model::packScores(size_t canvases, const BatchShape& shape) {
  int32_t gathered = 0;
  int32_t* ids = batch_.ids.host;
  const auto placed = [&](std::span<const int32_t> given) {
    const std::span<const int32_t> result(batch_.ids.device + (ids - batch_.ids.host), given.size());
    ids = std::copy(given.begin(), given.end(), ids);
    return result;
  };
  for (const ScoreRegion region : scoreRegions) {
    int32_t& count = batch_.counts.host[Batch::countOf(region)];
    const auto firstOfRegion = static_cast<int32_t>(firstRow(shape, region));
    size_t unconditional = canvases;  // index among the sequences
    for (size_t i = 0; i < canvases; ++i) {
      const StepCanvas& canvas = sequences_[i];
      if (regionOf(canvas, architecture_.vocabulary) != region) continue;
      const Prediction prediction = canvas.prediction(architecture_);
      const int32_t first = firstOfRegion + count;
      const auto rows = static_cast<int32_t>(canvas.masked.size());
      // If no row predicts a position, any row will do.
      const auto gather = [&](size_t sequence, int32_t position) {
        const int32_t row = canvas.cached.row(std::max(prediction.row(position), 0));
        batch_.gather.host[gathered] = batch_.offsets.host[sequence] + row;
        return gathered++;
      };
      for (int32_t m = 0; m < rows; ++m) {
        const int32_t position = canvas.masked[m];
        batch_.scored.host[first + m] =
            prediction.scoreRow(static_cast<int32_t>(i), position, canvas.tokens[position]);
        batch_.eligible.host[first + m] = canvas.eligible[m];
        const int32_t row = gather(i, position);
        if (region == ScoreRegion::filtered) batch_.gatherFiltered.host[count + m] = row;
        if (region == ScoreRegion::guided) {
          int32_t* const guided = batch_.gatherGuided.host + count + m;
          guided[0] = row;
          guided[shape.guidedRows()] = gather(unconditional, position);
        }
      }
      if (region == ScoreRegion::guided) ++unconditional;
      count += rows;
      batch_.unmask.host[i] = {first, rows, canvas.unmask};
      SamplingPlan& sampling = batch_.sampling.host[i] = canvas.sampling;
      sampling.banned = placed(canvas.sampling.banned);
      sampling.zeroed = placed(canvas.sampling.zeroed);
    }
  }
  batch_.counts.host[Batch::wantedRows] = gathered;
}

void Model::scoreAndUnmask(Tensor normed, const BatchShape& shape) {
  const auto count = static_cast<size_t>(shape.rows);
  const std::span<const SamplingPlan> plans(batch_.sampling.device, shape.canvases);
  for (const ScoreRegion region : scoreRegions) {
    if (!has(shape, region)) continue;
    const std::span<const ScoreRow> scored(batch_.scored.device + firstRow(shape, region), count);
    const std::span<Score> scores(scores_.data() + firstRow(shape, region), count);
    const Batch::Count which = Batch::countOf(region);
    const bool guided = region == ScoreRegion::guided;
    const int64_t rows =
        backend_->bucket(batch_.counts.host[which], guided ? shape.guidedRows() : shape.rows);
    const auto rowsOf = [&](float* data) {
      Tensor part = normed.limitedTo(batch_.counts.device + which);
      part.data = data;
      part.rows = rows;
      return part;
    };
    if (region == ScoreRegion::greedyUnfiltered) {
      blocks_.head.score(rowsOf(normed.data), scored, plans, true, scores);
      continue;
    }
    const Tensor gathered = rowsOf(gathered_.data());
    if (!guided) {
      backend_->gatherRows(normed, batch_.gatherFiltered.device, gathered);
      blocks_.head.score(gathered, scored, plans, false, scores);
      continue;
    }
    const Tensor unconditional = rowsOf(gathered_.data() + shape.guidedRows() * normed.columns);
    backend_->gatherRows(normed, batch_.gatherGuided.device, gathered);
    backend_->gatherRows(normed, batch_.gatherGuided.device + shape.guidedRows(), unconditional);
    blocks_.head.scoreGuided(gathered, unconditional, scored, plans, scores);
  }
  const size_t rows = static_cast<size_t>(shape.regions()) * count;
  backend_->unmask({batch_.unmask.device, static_cast<size_t>(shape.canvases)}, {batch_.scored.device, rows},
                   {batch_.eligible.device, rows}, {scores_.data(), rows});
}

void Model::step(std::span<StepCanvas> canvases, const AbortFlag& abort, std::optional<AttentionMask> mask) {
  blocks_.checkFiles();
  listSequences(canvases);
  const auto count = static_cast<int64_t>(sequences_.size());
  BatchShape shape;
  int64_t rows = 0, length = 0, wanted = 0;
  for (const StepCanvas& canvas : sequences_) {
    const auto size = static_cast<int64_t>(canvas.tokens.size());
    rows += canvas.cached.count(canvas.tokens.size());
    length = std::max(length, size);
  }
  for (const StepCanvas& canvas : canvases) {
    const ScoreRegion region = regionOf(canvas, architecture_.vocabulary);
    const bool guided = region == ScoreRegion::guided;
    wanted += static_cast<int64_t>(canvas.masked.size()) * (guided ? 2 : 1);
    shape.filters = shape.filters || region == ScoreRegion::filtered;
    shape.guided = shape.guided || guided;
    shape.ids += static_cast<int64_t>(canvas.sampling.banned.size() + canvas.sampling.zeroed.size());
  }
  shape.cached = openCaches(canvases, mask ? &*mask : nullptr);
  shape.rows = backend_->bucket(rows, rows);
  shape.canvases = backend_->bucket(count, count);
  reserve(shape, length, wanted);
  Rows packed = pack(std::span(sequences_), shape);
  packed.mask = mask ? &*mask : nullptr;
  packScores(canvases.size(), shape);
  packed.wanted = {batch_.gather.device, backend_->bucket(wanted, shape.rows),
                   batch_.counts.device + Batch::wantedRows};

  const auto ops = [&] {
    const Tensor normed = runLayers(packed, abort, nullptr);
    abort.throwIfAborted();
    scoreAndUnmask(normed, shape);
  };
  settled([&] {
    batch_.upload();
    const SequenceKey key{shape.rows,   shape.canvases,          shape.filters,
                          shape.guided, mask ? mask->block : -1, shape.cached};
    // By reference: a copied function object would allocate.
    backend_->runSequence(key, std::cref(ops));
    for (const ScoreRegion region : scoreRegions) {
      if (!has(shape, region)) continue;
      const int64_t first = firstRow(shape, region);
      const auto fetched = static_cast<size_t>(batch_.counts.host[Batch::countOf(region)]);
      backend_->download(hostScores_.data() + first, scores_.data() + first, fetched * sizeof(Score));
    }
    backend_->synchronize();
  });
  blocks_.checkFiles();
  closeCaches(canvases);

  for (size_t i = 0; i < canvases.size(); ++i) {
    StepCanvas& canvas = canvases[i];
    std::copy_n(hostScores_.data() + batch_.unmask.host[i].first, canvas.masked.size(),
                canvas.scores.begin());
    canvas.finite = std::all_of(canvas.scores.begin(), canvas.scores.end(),
                                [](const Score& score) { return score.finite; });
  }
}

}  // namespace rnd1
