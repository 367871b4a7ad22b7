#include "model/graph.h"

#include <algorithm>
#include <cstring>
#include <functional>
#include <limits>
#include <numeric>

namespace rnd1 {
namespace {

// Rows of logits that a forward pass computes per download.
constexpr int64_t logitsPiece = 64;

/** `values` begins with `count` values of a 16-bit dtype. */
void widenInPlace(float* values, int64_t count, DType dtype) {
  for (int64_t i = count - 1; i >= 0; --i) {
    uint16_t half;
    std::memcpy(&half, reinterpret_cast<const std::byte*>(values) + i * int64_t{sizeof(half)}, sizeof(half));
    values[i] = halfToFloat(dtype, half);
  }
}

}  // namespace

/** Copies the requested outputs of a forward pass from the workspace, layer by layer. */
struct Model::Capture {
  Backend& backend;
  const Architecture& architecture;
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

  /** The mask that is used instead of the layers' own, or null. */
  const AttentionMask* mask() const { return canvases.front().mask ? &*canvases.front().mask : nullptr; }

  void checkMasks() const {
    for (const ForwardCanvas& canvas : canvases)
      if (canvas.mask != canvases.front().mask)
        throw Error(ErrorCode::invalidArgument, "block: give the same one for every canvas of the batch");
  }

  /** Copies source (rows, columns) to destination (stage, R, columns) of every canvas that requests it. */
  template <typename T>
  void rows(const T* source, int64_t columns, int64_t stage, std::span<T> ForwardCanvas::*destination,
            DType dtype = DType::f32) const {
    const size_t bytes = static_cast<size_t>(columns) * (dtype == DType::f32 ? sizeof(T) : sizeof(uint16_t));
    backend.synchronize();
    for (size_t i = 0; i < canvases.size(); ++i) {
      const ForwardCanvas& canvas = canvases[i];
      if ((canvas.*destination).empty()) continue;
      T* out = (canvas.*destination).data() + stage * static_cast<int64_t>(canvas.rows.size()) * columns;
      for (const int32_t position : canvas.rows) {
        const int64_t row = offsets[i] + canvas.cached.row(position);
        backend.download(out, reinterpret_cast<const std::byte*>(source) + row * static_cast<int64_t>(bytes),
                         bytes);
        out += columns;
      }
    }
  }

  void hidden(const Tensor& states, int64_t stage) const {
    rows(states.data, states.columns, stage, &ForwardCanvas::hidden, states.dtype);
    if (states.dtype == DType::f32) return;
    backend.synchronize();
    for (const ForwardCanvas& canvas : canvases) {
      if (canvas.hidden.empty()) continue;
      const auto count = static_cast<int64_t>(canvas.rows.size());
      for (int64_t row = 0; row < count; ++row)
        widenInPlace(canvas.hidden.data() + (stage * count + row) * states.columns, states.columns,
                     states.dtype);
    }
  }

  /** `layer`: among those with experts. */
  void routing(const Dispatch& dispatch, int64_t layer) const {
    rows(dispatch.routerLogits, dispatch.experts, layer, &ForwardCanvas::routerLogits);
    rows(dispatch.expertIds, dispatch.expertsPerToken, layer, &ForwardCanvas::expertIds);
    rows(dispatch.weights, dispatch.expertsPerToken, layer, &ForwardCanvas::expertWeights);
  }
};

Model::Model(const Architecture& architecture, std::unique_ptr<Backend> backend, const Manifest& manifest,
             const std::function<void(const LoadProgress&)>& onProgress, const AbortFlag& abort)
    : architecture_((architecture.validate(), architecture)),
      backend_(std::move(backend)),
      blocks_(architecture_, manifest, *backend_, onProgress, abort),
      residual_(*backend_),
      normed_(*backend_),
      delta_(*backend_),
      gathered_(*backend_),
      scores_(*backend_),
      batch_(*backend_),
      hostScores_(*backend_) {}

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
  if (sizeProduct(shape.rows, std::max<int64_t>(architecture_.expertsPerToken(), 1)) >
      std::numeric_limits<int32_t>::max())
    throw Error(ErrorCode::invalidArgument, "the canvases of one pass have " + std::to_string(shape.rows) +
                                                " tokens together, which is too many");
  batch_.reserve(shape);
  for (Buffer<float>* buffer : {&residual_, &normed_, &delta_, &gathered_})
    buffer->reserve(sizeProduct(shape.rows, architecture_.hidden));
  const int64_t scoreCount = shape.regions() * shape.rows;
  scores_.reserve(scoreCount);
  hostScores_.reserve(scoreCount);
  sequences_.reserve(static_cast<size_t>(shape.canvases));
  Limits limits;
  limits.rows = shape.rows;
  limits.scoredRows = scoredRows;
  limits.vocabulary = architecture_.vocabulary;
  limits.filters = shape.filters || shape.guided;
  blocks_.reserve(shape.rows, length, limits);
  backend_->reserve(limits);
}

template <typename Canvas>
Model::Rows Model::pack(std::span<Canvas> canvases, const BatchShape& shape) {
  batch_.arrange(shape);
  int32_t row = 0;
  for (size_t i = 0; i < canvases.size(); ++i) {
    batch_.offsets.host[i] = row;
    const std::span<const int32_t> tokens = canvases[i].tokens;
    const CachedRows& cached = canvases[i].cached;
    if (cached.cache) batch_.caches.host[i] = cached.cache->view(static_cast<int32_t>(tokens.size()));
    const int64_t count = cached.count(tokens.size());
    for (int64_t own = 0; own < count; ++own, ++row) {
      const int32_t position = cached.position(own);
      batch_.positions.host[row] = position;
      batch_.tokens.host[row] = tokens[static_cast<size_t>(position)];
    }
  }
  std::fill(batch_.offsets.host + canvases.size(), batch_.offsets.host + shape.canvases + 1, row);
  batch_.counts.host[Batch::allRows] = row;
  Rows rows;
  rows.count = shape.rows;
  rows.validRows = batch_.counts.device + Batch::allRows;
  rows.packed = {batch_.positions.device,
                 {batch_.offsets.device, shape.canvases},
                 shape.cached ? batch_.caches.device : nullptr};
  return rows;
}
template Model::Rows Model::pack(std::span<ForwardCanvas>, const BatchShape&);
template Model::Rows Model::pack(std::span<StepCanvas>, const BatchShape&);

Tensor Model::runLayers(const Rows& rows, const AbortFlag& abort, const Capture* capture) {
  Backend& backend = *backend_;
  const auto tensor = [&](const Buffer<float>& buffer) {
    return Tensor(buffer.data(), rows.count, architecture_.hidden).limitedTo(rows.validRows);
  };
  Tensor residual = tensor(residual_);
  Tensor normed = activationsIn(backend, normed_, residual, architecture_.hidden);
  Tensor delta = tensor(delta_);
  const float epsilon = architecture_.rmsNormEpsilon;
  const size_t layers = architecture_.layers.size();
  int64_t withExperts = 0;

  blocks_.head.embed(batch_.tokens.device, residual);
  if (capture) capture->hidden(residual, 0);
  for (size_t index = 0; index < layers; ++index) {
    abort.throwIfAborted();
    // Adds the previous layer's delta, so that its hidden state can be captured.
    backend.addRmsNorm(residual, index > 0 ? &delta : nullptr, blocks_.attention.norm(index), epsilon,
                       normed);
    if (capture && index > 0) capture->hidden(residual, static_cast<int64_t>(index));
    Tensor attended = blocks_.attention.attend(index, normed, rows.packed, rows.mask);
    if (rows.wanted.rows && index + 1 == layers) {
      // The other rows are no longer needed.
      const Tensor wanted =
          Tensor(gathered_.data(), rows.wanted.count, architecture_.hidden).limitedTo(rows.wanted.validRows);
      attended = blocks_.attention.select(attended, rows.wanted);
      backend.gatherRows(residual, rows.wanted.rows, wanted);
      residual = wanted;
      normed = activationsIn(backend, normed_, wanted, architecture_.hidden);
      delta = tensorIn(delta_, wanted, architecture_.hidden);
    }
    blocks_.attention.project(index, attended, delta);
    backend.addRmsNorm(residual, &delta, blocks_.mlpNorms[index], epsilon, normed);
    if (architecture_.layers[index].mlp.experts == 0) {
      blocks_.mlp.run(index, normed, delta);
      continue;
    }
    const int64_t ids = forced_.empty() ? 0 : rows.count * architecture_.expertsPerToken();
    const Dispatch& dispatch = blocks_.experts.run(
        index, normed, {forced_.data() + withExperts * ids, static_cast<size_t>(ids)}, delta);
    if (capture) capture->routing(dispatch, withExperts);
    ++withExperts;
  }
  backend.addRmsNorm(residual, &delta, blocks_.head.norm(), epsilon, normed);
  if (capture) {
    capture->hidden(residual, static_cast<int64_t>(layers));
    capture->hidden(normed, static_cast<int64_t>(layers) + 1);
  }
  return normed;
}

void Model::forward(std::span<ForwardCanvas> canvases, const AbortFlag& abort) {
  int64_t rows = 0, length = 0;
  blocks_.checkFiles();
  for (const ForwardCanvas& canvas : canvases) {
    rows += canvas.cached.count(canvas.tokens.size());
    length = std::max(length, static_cast<int64_t>(canvas.tokens.size()));
  }
  Capture capture{*backend_, architecture_, canvases, nullptr};
  capture.checkMasks();
  const bool cached = openCaches(canvases, capture.mask());
  const BatchShape shape{rows, static_cast<int64_t>(canvases.size()), false, 0, false, cached};
  reserve(shape, length, 0);
  Rows packed = pack(canvases, shape);
  packed.mask = capture.mask();
  capture.offsets = batch_.offsets.host;
  forced_.clear();
  if (capture.forced()) {
    // (layers with experts, rows, k) of the packed batch.
    const int64_t k = architecture_.expertsPerToken();
    for (int64_t layer = 0; layer < architecture_.expertLayers(); ++layer)
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
  blocks_.checkFiles();
  closeCaches(canvases);
}

void Model::fetchLogits(Tensor normed, std::span<const ForwardCanvas> canvases, const AbortFlag& abort) {
  for (size_t i = 0; i < canvases.size(); ++i) {
    const ForwardCanvas& canvas = canvases[i];
    if (canvas.logits.empty()) continue;
    abort.throwIfAborted();
    gather_.clear();
    for (const int32_t position : canvas.rows)
      gather_.push_back(batch_.offsets.host[i] + canvas.cached.row(position));
    const auto piece = static_cast<size_t>(std::min(normed.rows, logitsPiece));
    for (size_t first = 0; first < gather_.size(); first += piece) {
      const size_t count = std::min(piece, gather_.size() - first);
      backend_->upload(batch_.gather.device, gather_.data() + first, count * sizeof(int32_t));
      Tensor gathered(gathered_.data(), static_cast<int64_t>(count), architecture_.hidden);
      gathered.dtype = normed.dtype;
      backend_->gatherRows(normed, batch_.gather.device, gathered);
      const Tensor logits = blocks_.head.logits(gathered);
      const auto vocabulary = static_cast<size_t>(architecture_.vocabulary);
      backend_->download(canvas.logits.data() + first * vocabulary, logits.data,
                         count * vocabulary * sizeof(float));
    }
  }
}

}  // namespace rnd1
