#include "model/graph.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <functional>

namespace rnd1 {
namespace {

// Rows of logits that a forward pass computes before it hands them over.
constexpr int64_t logitsPiece = 64;

}  // namespace

/** Copies what a forward pass was asked for out of the workspace, layer by layer. */
struct Model::Capture {
  Backend& backend;
  const Config& config;
  std::span<ForwardCanvas> canvases;
  std::span<const int32_t> offsets;

  bool forced() const {
    const auto count = std::count_if(canvases.begin(), canvases.end(),
                                     [](const auto& c) { return !c.forcedExperts.empty(); });
    if (count != 0 && count != static_cast<int64_t>(canvases.size()))
      throw Error(ErrorCode::invalidArgument,
                  "forcedExperts: give it for every canvas of the batch or for none");
    return count != 0;
  }

  /** source (rows, columns) → destination (stage, R, columns) of every canvas that wants it. */
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
      workspace_(*backend_, config_) {}

void Model::reserve(int64_t rows, int64_t canvases, int64_t length, int64_t scoredRows, bool filters) {
  workspace_.reserve(rows, canvases, length);
  Limits limits;
  limits.rows = rows;
  limits.scoredRows = scoredRows;
  limits.innerColumns = std::max({config_.hidden, config_.headLayout().queryColumns(), config_.expertWidth});
  limits.headDim = config_.headDim;
  limits.experts = config_.experts;
  limits.expertWidth = config_.expertWidth;
  limits.expertsPerToken = config_.expertsPerToken;
  limits.vocabulary = config_.vocabulary;
  limits.filters = filters;
  backend_->reserve(limits);
  const auto count = static_cast<size_t>(rows);
  tokens_.reserve(count);
  positions_.reserve(count);
  gather_.reserve(count);
  offsets_.reserve(static_cast<size_t>(canvases) + 1);
  scoreRows_.reserve(static_cast<size_t>(scoredRows));
  scores_.reserve(static_cast<size_t>(scoredRows));
  plans_.reserve(static_cast<size_t>(canvases));
}

template <typename Canvas>
int64_t Model::pack(std::span<Canvas> canvases) {
  tokens_.clear();
  positions_.clear();
  offsets_.assign(1, 0);
  for (const Canvas& canvas : canvases) {
    tokens_.insert(tokens_.end(), canvas.tokens.begin(), canvas.tokens.end());
    for (size_t position = 0; position < canvas.tokens.size(); ++position)
      positions_.push_back(static_cast<int32_t>(position));
    offsets_.push_back(static_cast<int32_t>(tokens_.size()));
  }
  const auto bytes = [](const auto& values) { return values.size() * sizeof(values[0]); };
  backend_->upload(workspace_.tokens.data(), tokens_.data(), bytes(tokens_));
  backend_->upload(workspace_.positions.data(), positions_.data(), bytes(positions_));
  backend_->upload(workspace_.offsets.data(), offsets_.data(), bytes(offsets_));
  return static_cast<int64_t>(tokens_.size());
}

void Model::runLayers(int64_t rows, int64_t canvases, const AbortFlag& abort, Capture* capture) {
  Backend& backend = *backend_;
  const Workspace& work = workspace_;
  const HeadLayout layout = config_.headLayout();
  const Tensor residual(work.residual.data(), rows, config_.hidden);
  const Tensor normed(work.normed.data(), rows, config_.hidden);
  const Tensor delta(work.delta.data(), rows, config_.hidden);
  const Tensor qkv(work.qkv.data(), rows, layout.columns());
  const Tensor query = qkv.columnRange(0, layout.queryColumns());
  const Tensor key = qkv.columnRange(layout.queryColumns(), layout.keyValueColumns());
  const Tensor value =
      qkv.columnRange(layout.queryColumns() + layout.keyValueColumns(), layout.keyValueColumns());
  const Tensor attended(work.attended.data(), rows, layout.queryColumns());
  const Tensor activated(work.activated.data(), rows * config_.expertsPerToken, config_.expertWidth);
  const CanvasOffsets offsets{work.offsets.data(), canvases};
  const float scale = 1.0f / std::sqrt(static_cast<float>(config_.headDim));
  const float epsilon = config_.rmsNormEpsilon;
  Dispatch dispatch = work.dispatch();

  backend.embed(work.tokens.data(), weights_.embedding, residual);
  if (capture) capture->hidden(residual.data, 0);
  for (size_t index = 0; index < weights_.layers.size(); ++index) {
    abort.throwIfAborted();
    const LayerWeights& layer = weights_.layers[index];
    // The delta of the layer before was added already when its hidden state was captured.
    backend.addRmsNorm(residual, index > 0 ? &delta : nullptr, layer.inputNorm, epsilon, normed);
    if (capture && index > 0) capture->hidden(residual.data, static_cast<int64_t>(index));
    backend.matmul(normed, layer.queryKeyValue, qkv);
    backend.normRope(qkv, layout, layer.queryNorm, layer.keyNorm, epsilon, work.positions.data(),
                     work.rotaryTable());
    backend.attention(query, key, value, layout, offsets, offsets, AttentionMask::full, scale, attended,
                      nullptr);
    backend.matmul(attended, {&layer.attentionOutput, 1}, delta);
    backend.addRmsNorm(residual, &delta, layer.postAttentionNorm, epsilon, normed);
    RouteOptions route{config_.expertsPerToken, config_.normTopkProb, nullptr};
    if (!forced_.empty()) {
      const int64_t perLayer = rows * config_.expertsPerToken;
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
}

void Model::forward(std::span<ForwardCanvas> canvases, const AbortFlag& abort) {
  int64_t rows = 0, length = 0;
  for (const ForwardCanvas& canvas : canvases) {
    const auto size = static_cast<int64_t>(canvas.tokens.size());
    rows += size;
    length = std::max(length, size);
  }
  reserve(rows, static_cast<int64_t>(canvases.size()), length, 0, false);
  pack(canvases);
  Capture capture{*backend_, config_, canvases, offsets_};
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
  runLayers(rows, static_cast<int64_t>(canvases.size()), abort, &capture);
  forced_.clear();

  for (size_t i = 0; i < canvases.size(); ++i) {
    const ForwardCanvas& canvas = canvases[i];
    if (canvas.logits.empty()) continue;
    abort.throwIfAborted();
    gather_.clear();
    for (const int32_t row : canvas.rows) gather_.push_back(offsets_[i] + row);
    const auto piece = static_cast<size_t>(std::min(rows, logitsPiece));
    workspace_.logits.reserve(static_cast<int64_t>(piece) * config_.vocabulary);
    for (size_t first = 0; first < gather_.size(); first += piece) {
      const size_t count = std::min(piece, gather_.size() - first);
      backend_->upload(workspace_.gather.data(), gather_.data() + first, count * sizeof(int32_t));
      const Tensor gathered(workspace_.gathered.data(), static_cast<int64_t>(count), config_.hidden);
      backend_->gatherRows({workspace_.normed.data(), rows, config_.hidden}, workspace_.gather.data(),
                           gathered);
      const Tensor logits(workspace_.logits.data(), static_cast<int64_t>(count), config_.vocabulary);
      backend_->logits(gathered, weights_.head, logits);
      backend_->download(canvas.logits.data() + static_cast<int64_t>(first) * config_.vocabulary, logits.data,
                         count * static_cast<size_t>(config_.vocabulary) * sizeof(float));
    }
  }
  backend_->synchronize();
}

void Model::step(std::span<StepCanvas> canvases, const AbortFlag& abort) {
  int64_t rows = 0, length = 0, scored = 0;
  bool filters = false;
  for (const StepCanvas& canvas : canvases) {
    const auto size = static_cast<int64_t>(canvas.tokens.size());
    rows += size;
    length = std::max(length, size);
    scored += static_cast<int64_t>(canvas.masked.size());
    filters = filters || canvas.sampling.filters(config_.vocabulary);
  }
  reserve(rows, static_cast<int64_t>(canvases.size()), length, scored, filters);
  pack(canvases);
  const auto count = static_cast<int64_t>(canvases.size());
  const auto layers = [&] { runLayers(rows, count, abort, nullptr); };
  // By reference: a function object of its own would allocate.
  backend_->runSequence({rows, count}, std::cref(layers));
  abort.throwIfAborted();

  scoreRows_.clear();
  plans_.clear();
  gather_.clear();
  for (size_t i = 0; i < canvases.size(); ++i) {
    plans_.push_back(canvases[i].sampling);
    for (const int32_t position : canvases[i].masked) {
      scoreRows_.push_back({static_cast<int32_t>(i), position, canvases[i].tokens[position]});
      // The logits of position i − 1 predict position i; position 0 has none, any row will do.
      gather_.push_back(offsets_[i] + std::max(position - 1, 0));
    }
  }
  scores_.resize(scoreRows_.size());
  backend_->upload(workspace_.gather.data(), gather_.data(), gather_.size() * sizeof(int32_t));
  const Tensor gathered(workspace_.gathered.data(), scored, config_.hidden);
  backend_->gatherRows({workspace_.normed.data(), rows, config_.hidden}, workspace_.gather.data(), gathered);
  backend_->score(gathered, weights_.head, scoreRows_, plans_, scores_);
  backend_->synchronize();

  size_t first = 0;
  for (StepCanvas& canvas : canvases) {
    const size_t count = canvas.masked.size();
    const std::span<const Score> scores = std::span(scores_).subspan(first, count);
    std::copy(scores.begin(), scores.end(), canvas.scores.begin());
    canvas.finite =
        std::all_of(scores.begin(), scores.end(), [](const Score& score) { return score.finite; });
    if (canvas.finite)
      backend_->unmask(std::span(scoreRows_).subspan(first, count), scores, canvas.eligible, canvas.unmask,
                       canvas.committed);
    first += count;
  }
}

}  // namespace rnd1
