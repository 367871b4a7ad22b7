#include "model/graph.h"

#include <algorithm>
#include <cmath>
#include <functional>
#include <limits>
#include <numeric>

namespace rnd1 {
namespace {

// Rows of logits that a forward pass computes per download.
constexpr int64_t logitsPiece = 64;

}  // namespace

/** Copies the requested outputs of a forward pass from the workspace, layer by layer. */
struct Model::Capture {
  Backend& backend;
  const Config& config;
  std::span<ForwardCanvas> canvases;
  const int32_t* offsets;

  bool forced() const {
    const auto count = std::count_if(canvases.begin(), canvases.end(),
                                     [](const auto& c) { return !c.forcedExperts.empty(); });
    if (count != 0 && count != static_cast<int64_t>(canvases.size()))
      throw Error(ErrorCode::invalidArgument,
                  "forcedExperts: give it for every canvas of the batch or for none");
    return count != 0;
  }

  /** Copies source (rows, columns) to destination (stage, R, columns) of every canvas that requests it. */
  template <typename T>
  void rows(const T* source, int64_t columns, int64_t stage, std::span<T> ForwardCanvas::*destination) const {
    backend.synchronize();
    for (size_t i = 0; i < canvases.size(); ++i) {
      const ForwardCanvas& canvas = canvases[i];
      if ((canvas.*destination).empty()) continue;
      T* out = (canvas.*destination).data() + stage * static_cast<int64_t>(canvas.rows.size()) * columns;
      for (const int32_t row : canvas.rows) {
        backend.download(out, source + (offsets[i] + row) * columns,
                         static_cast<size_t>(columns) * sizeof(T));
        out += columns;
      }
    }
  }

  void hidden(const float* source, int64_t stage) const {
    rows(source, config.hidden, stage, &ForwardCanvas::hidden);
  }

  void routing(const Dispatch& dispatch, int64_t layer) const {
    rows(dispatch.routerLogits, config.experts, layer, &ForwardCanvas::routerLogits);
    rows(dispatch.expertIds, config.expertsPerToken, layer, &ForwardCanvas::expertIds);
    rows(dispatch.weights, config.expertsPerToken, layer, &ForwardCanvas::expertWeights);
  }
};

Model::Model(const Config& config, std::unique_ptr<Backend> backend, const Manifest& manifest,
             const std::function<void(const LoadProgress&)>& onProgress, const AbortFlag& abort)
    : config_((config.validate(), config)),
      backend_(std::move(backend)),
      weights_(config_, manifest, *backend_, onProgress, abort),
      workspace_(*backend_, config_),
      batch_(*backend_),
      scores_(*backend_) {}

void Model::settle() noexcept {
  forced_.clear();
  try {
    backend_->synchronize();
  } catch (...) {
    // The device is broken, which the next call reports; the first error is already being thrown.
  }
}

void Model::reserve(const BatchShape& shape, int64_t length, int64_t scoredRows) {
  // Rows and slots are counted in 32 bits.
  if (sizeProduct(shape.rows, config_.expertsPerToken) > std::numeric_limits<int32_t>::max())
    throw Error(ErrorCode::invalidArgument, "the canvases of one pass have " + std::to_string(shape.rows) +
                                                " tokens together, which is too many");
  batch_.reserve(shape);
  workspace_.reserve(shape.rows, length);
  const int64_t scoreCount = shape.filters ? 2 * shape.rows : shape.rows;
  workspace_.scores.reserve(scoreCount);
  scores_.reserve(scoreCount);
  Limits limits;
  limits.rows = shape.rows;
  limits.scoredRows = scoredRows;
  limits.innerColumns = std::max({config_.hidden, config_.headLayout().queryColumns(), config_.expertWidth});
  limits.headDim = config_.headDim;
  limits.experts = config_.experts;
  limits.expertWidth = config_.expertWidth;
  limits.expertColumns = config_.hidden;
  limits.expertsPerToken = config_.expertsPerToken;
  limits.vocabulary = config_.vocabulary;
  limits.filters = shape.filters;
  backend_->reserve(limits);
}

template <typename Canvas>
Model::Rows Model::pack(std::span<Canvas> canvases, const BatchShape& shape) {
  batch_.arrange(shape);
  int32_t row = 0;
  for (size_t i = 0; i < canvases.size(); ++i) {
    batch_.offsets.host[i] = row;
    const std::span<const int32_t> tokens = canvases[i].tokens;
    std::copy(tokens.begin(), tokens.end(), batch_.tokens.host + row);
    std::iota(batch_.positions.host + row, batch_.positions.host + row + tokens.size(), 0);
    row += static_cast<int32_t>(tokens.size());
  }
  std::fill(batch_.offsets.host + canvases.size(), batch_.offsets.host + shape.canvases + 1, row);
  batch_.counts.host[Batch::allRows] = row;
  Rows rows;
  rows.count = shape.rows;
  rows.validRows = batch_.counts.device + Batch::allRows;
  rows.canvases = {batch_.offsets.device, shape.canvases};
  return rows;
}
template Model::Rows Model::pack(std::span<ForwardCanvas>, const BatchShape&);
template Model::Rows Model::pack(std::span<StepCanvas>, const BatchShape&);

Tensor Model::runLayers(const Rows& rows, const AbortFlag& abort, const Capture* capture) {
  Backend& backend = *backend_;
  const Workspace& work = workspace_;
  const HeadLayout layout = config_.headLayout();
  const auto tensor = [&](const Buffer<float>& buffer, int64_t columns) {
    return Tensor(buffer.data(), rows.count, columns).limitedTo(rows.validRows);
  };
  Tensor residual = tensor(work.residual, config_.hidden);
  Tensor normed = tensor(work.normed, config_.hidden);
  Tensor delta = tensor(work.delta, config_.hidden);
  const Tensor qkv = tensor(work.qkv, layout.columns());
  const Tensor query = qkv.columnRange(0, layout.queryColumns());
  const Tensor key = qkv.columnRange(layout.queryColumns(), layout.keyValueColumns());
  const Tensor value =
      qkv.columnRange(layout.queryColumns() + layout.keyValueColumns(), layout.keyValueColumns());
  Tensor attended = tensor(work.attended, layout.queryColumns());
  const Tensor activated(work.activated.data(), rows.count * config_.expertsPerToken, config_.expertWidth);
  const float scale = 1.0f / std::sqrt(static_cast<float>(config_.headDim));
  const float epsilon = config_.rmsNormEpsilon;
  Dispatch dispatch = work.dispatch();

  backend.embed(batch_.tokens.device, weights_.embedding, residual);
  if (capture) capture->hidden(residual.data, 0);
  for (size_t index = 0; index < weights_.layers.size(); ++index) {
    abort.throwIfAborted();
    const LayerWeights& layer = weights_.layers[index];
    // Adds the previous layer's delta, so that its hidden state can be captured.
    backend.addRmsNorm(residual, index > 0 ? &delta : nullptr, layer.inputNorm, epsilon, normed);
    if (capture && index > 0) capture->hidden(residual.data, static_cast<int64_t>(index));
    backend.matmul(normed, layer.queryKeyValue, qkv);
    backend.normRope(qkv, layout, {{}, layer.queryNorm, layer.keyNorm, epsilon}, batch_.positions.device,
                     work.rotaryTable());
    backend.attention(query, key, value, layout, rows.canvases, rows.canvases, AttentionMask(), scale,
                      attended, nullptr);
    if (rows.wanted && index + 1 == weights_.layers.size()) {
      // The other rows are no longer needed. Their queries, keys and values have been used.
      const auto wanted = [&](const Buffer<float>& buffer, int64_t columns) {
        return Tensor(buffer.data(), rows.wantedCount, columns).limitedTo(rows.wantedValidRows);
      };
      const Tensor attendedThere = wanted(work.qkv, attended.columns);
      const Tensor residualThere = wanted(work.gathered, residual.columns);
      backend.gatherRows(attended, rows.wanted, attendedThere);
      backend.gatherRows(residual, rows.wanted, residualThere);
      attended = attendedThere;
      residual = residualThere;
      normed = wanted(work.normed, normed.columns);
      delta = wanted(work.delta, delta.columns);
    }
    backend.matmul(attended, {&layer.attentionOutput, 1}, delta);
    backend.addRmsNorm(residual, &delta, layer.postAttentionNorm, epsilon, normed);
    RouteOptions route;
    route.expertsPerToken = config_.expertsPerToken;
    route.normalise = config_.normTopkProb;
    if (!forced_.empty()) {
      const int64_t perLayer = rows.count * config_.expertsPerToken;
      backend.upload(work.forcedExperts.data(), forced_.data() + static_cast<int64_t>(index) * perLayer,
                     static_cast<size_t>(perLayer) * sizeof(int32_t));
      route.forcedExperts = work.forcedExperts.data();
    }
    backend.route(normed, layer.router, route, dispatch);
    if (capture) capture->routing(dispatch, static_cast<int64_t>(index));
    backend.experts(normed, layer.experts, dispatch, activated, delta);
  }
  backend.addRmsNorm(residual, &delta, weights_.finalNorm, epsilon, normed);
  if (capture) {
    capture->hidden(residual.data, config_.layers);
    capture->hidden(normed.data, config_.layers + 1);
  }
  return normed;
}

void Model::forward(std::span<ForwardCanvas> canvases, const AbortFlag& abort) {
  int64_t rows = 0, length = 0;
  weights_.checkFiles();
  for (const ForwardCanvas& canvas : canvases) {
    const auto size = static_cast<int64_t>(canvas.tokens.size());
    rows += size;
    length = std::max(length, size);
  }
  const BatchShape shape{rows, static_cast<int64_t>(canvases.size()), false, 0};
  reserve(shape, length, 0);
  const Rows packed = pack(canvases, shape);
  const Capture capture{*backend_, config_, canvases, batch_.offsets.host};
  forced_.clear();
  if (capture.forced()) {
    // (layers, rows, k) of the packed batch.
    const int64_t k = config_.expertsPerToken;
    for (int64_t layer = 0; layer < config_.layers; ++layer)
      for (const ForwardCanvas& canvas : canvases) {
        const int64_t count = static_cast<int64_t>(canvas.tokens.size()) * k;
        const auto first = canvas.forcedExperts.begin() + layer * count;
        forced_.insert(forced_.end(), first, first + count);
      }
  }
  settled([&] {
    batch_.upload();
    const Tensor normed = runLayers(packed, abort, &capture);
    fetchLogits(normed, canvases, abort);
    backend_->synchronize();
  });
  forced_.clear();
  weights_.checkFiles();
}

void Model::fetchLogits(Tensor normed, std::span<const ForwardCanvas> canvases, const AbortFlag& abort) {
  for (size_t i = 0; i < canvases.size(); ++i) {
    const ForwardCanvas& canvas = canvases[i];
    if (canvas.logits.empty()) continue;
    abort.throwIfAborted();
    gather_.clear();
    for (const int32_t row : canvas.rows) gather_.push_back(batch_.offsets.host[i] + row);
    const auto piece = static_cast<size_t>(std::min(normed.rows, logitsPiece));
    workspace_.logits.reserve(static_cast<int64_t>(piece) * config_.vocabulary);
    for (size_t first = 0; first < gather_.size(); first += piece) {
      const size_t count = std::min(piece, gather_.size() - first);
      backend_->upload(batch_.gather.device, gather_.data() + first, count * sizeof(int32_t));
      const Tensor gathered(workspace_.gathered.data(), static_cast<int64_t>(count), config_.hidden);
      backend_->gatherRows(normed, batch_.gather.device, gathered);
      const Tensor logits(workspace_.logits.data(), static_cast<int64_t>(count), config_.vocabulary);
      backend_->logits(gathered, weights_.lmHead, logits);
      backend_->download(canvas.logits.data() + static_cast<int64_t>(first) * config_.vocabulary, logits.data,
                         count * static_cast<size_t>(config_.vocabulary) * sizeof(float));
    }
  }
}

}  // namespace rnd1
