#include "training/network.h"

#include <algorithm>
#include <cmath>

#include "core/error.h"

namespace rnd1 {

void checkTrainable(const Architecture& architecture) {
  for (size_t index = 0; index < architecture.layers.size(); ++index) {
    const MlpShape& mlp = architecture.layers[index].mlp;
    if (mlp.experts == 0) continue;
    const auto refuse = [&](const char* what) {
      throw Error(ErrorCode::unsupportedModel,
                  "layer " + std::to_string(index) + ": training " + what + " is not implemented");
    };
    if (mlp.score == RouterScore::sigmoid) refuse("a sigmoid router");
    if (mlp.selectionBias) refuse("a router with a selection bias");
  }
}

Network::Network(const Architecture& architecture, Backend& backend, const Parameters& parameters,
                 Recompute recompute)
    : architecture_(architecture),
      backend_(backend),
      ops_(*backend.training()),
      parameters_(parameters),
      rotary_(backend),
      activations_(backend, architecture, recompute),
      routing_(architecture.layers.size()),
      tokens_(backend),
      positions_(backend),
      offsets_(backend),
      scoredRows_(backend),
      targets_(backend),
      weights_(backend),
      delta_(backend),
      normed_(backend),
      final_(backend),
      scoredNormed_(backend),
      scoredGradient_(backend),
      residualGradient_(backend),
      normedGradient_(backend),
      attendedGradient_(backend),
      qkvGradient_(backend),
      routingGradient_(backend),
      routerGradient_(backend),
      sharedDelta_(backend),
      balance_(backend) {
  for (const auto& [attention, mlp] : architecture.layers)
    rotaryOf_.push_back(rotary_.add(attention.rotaryWidth, attention.ropeTheta));
  for (size_t index = 0; index < routing_.size(); ++index) {
    const auto experts = static_cast<size_t>(architecture.layers[index].mlp.experts);
    routing_[index] = {std::vector<double>(experts), std::vector<double>(experts)};
  }
}

float Network::attentionScale(size_t layer) const {
  return 1.0f / std::sqrt(static_cast<float>(architecture_.layers[layer].attention.heads.headDim));
}

void Network::reserve(const TrainingBatch& batch) {
  const int64_t rows = rows_, hidden = architecture_.hidden;
  const auto scored = static_cast<int64_t>(batch.rows.size());
  Limits limits;
  limits.rows = rows;
  limits.scoredRows = scored;
  limits.innerColumns = hidden;
  int64_t columns = 0, queryColumns = 0;
  for (const auto& [attention, mlp] : architecture_.layers) {
    columns = std::max(columns, attention.heads.columns());
    queryColumns = std::max(queryColumns, attention.heads.queryColumns());
    limits.headDim = std::max(limits.headDim, attention.heads.headDim);
    limits.innerColumns = std::max({limits.innerColumns, queryColumns, mlp.width, mlp.sharedWidth});
  }
  limits.experts = architecture_.experts();
  balance_.reserve(sizeProduct(static_cast<int64_t>(routing_.size()), limits.experts));
  limits.expertsPerToken = architecture_.expertsPerToken();
  backend_.reserve(limits);
  activations_.reserve(rows);
  rotary_.extend(batch.longest());
  for (Buffer<int32_t>* buffer : {&tokens_, &positions_}) buffer->reserve(rows);
  offsets_.reserve(static_cast<int64_t>(batch.offsets.size()));
  for (Buffer<int32_t>* buffer : {&scoredRows_, &targets_}) buffer->reserve(scored);
  weights_.reserve(scored);
  for (Buffer<float>* buffer :
       {&delta_, &normed_, &final_, &residualGradient_, &normedGradient_, &sharedDelta_})
    buffer->reserve(sizeProduct(rows, hidden));
  for (Buffer<float>* buffer : {&scoredNormed_, &scoredGradient_})
    buffer->reserve(sizeProduct(scored, hidden));
  attendedGradient_.reserve(sizeProduct(rows, queryColumns));
  qkvGradient_.reserve(sizeProduct(rows, columns));
  routingGradient_.reserve(sizeProduct(rows, limits.expertsPerToken));
  routerGradient_.reserve(sizeProduct(rows, limits.experts));
}

void Network::upload(const TrainingBatch& batch) {
  const auto send = [&](const auto& values, auto& buffer) {
    backend_.upload(buffer.data(), values.data(), values.size() * sizeof(values[0]));
    return buffer.data();
  };
  std::vector<int32_t>& positions = hostPositions_;
  positions.resize(batch.tokens.size());
  for (size_t canvas = 0; canvas + 1 < batch.offsets.size(); ++canvas)
    for (int32_t row = batch.offsets[canvas]; row < batch.offsets[canvas + 1]; ++row)
      positions[static_cast<size_t>(row)] = row - batch.offsets[canvas];
  send(batch.tokens, tokens_);
  send(positions, positions_);
  canvases_ = {send(batch.offsets, offsets_), static_cast<int64_t>(batch.offsets.size()) - 1};
  scored_ = {send(batch.rows, scoredRows_), send(batch.targets, targets_), send(batch.weights, weights_),
             static_cast<int64_t>(batch.rows.size()), rows_};
  mask_ = batch.mask;
}

void Network::forward(const TrainingBatch& batch, double share, TrainingLosses& losses,
                      const AbortFlag& abort) {
  rows_ = static_cast<int64_t>(batch.tokens.size());
  reserve(batch);
  upload(batch);
  runLayers(abort);
  routerLosses(batch, share, losses);
}

void Network::score(const TrainingBatch& batch, TrainingLosses& losses) {
  crossEntropy(batch, false, losses);
}

void Network::backward(const TrainingBatch& batch, TrainingLosses& losses, const AbortFlag& abort) {
  crossEntropy(batch, true, losses);
  layersBackward(abort);
}

void Network::crossEntropy(const TrainingBatch& batch, bool gradients, TrainingLosses& losses) {
  const Tensor scoredNormed(scoredNormed_.data(), scored_.count, architecture_.hidden);
  Tensor scoredGradient(scoredGradient_.data(), scored_.count, architecture_.hidden);
  backend_.gatherRows(rows(normed_, architecture_.hidden), scored_.rows, scoredNormed);
  crossEntropies_.resize(batch.rows.size());
  ops_.crossEntropy(scoredNormed, parameters_.head.value, scored_, crossEntropies_.data(),
                    gradients ? &scoredGradient : nullptr, parameters_.head.gradient);
  for (size_t row = 0; row < crossEntropies_.size(); ++row)
    losses.main += static_cast<double>(batch.weights[row]) * crossEntropies_[row];
}

void Network::addExpertRows(std::span<double> rows) const {
  size_t at = 0;
  for (const Routing& routing : routing_)
    for (const double chosen : routing.chosen) rows[at++] += chosen;
}

void Network::routerLosses(const TrainingBatch& batch, double share, TrainingLosses& losses) {
  const auto layers = static_cast<double>(architecture_.expertLayers());
  const auto experts = static_cast<size_t>(architecture_.experts());
  if (layers == 0) return;
  const auto count = static_cast<double>(rows_), expertCount = static_cast<double>(experts);
  std::vector<double>& pooledChosen = pooledChosen_;
  pooledChosen.assign(experts, 0);
  double z = 0, balance = 0;
  for (const Routing& routing : routing_)
    for (size_t expert = 0; expert < routing.chosen.size(); ++expert)
      pooledChosen[expert] += routing.chosen[expert] / (count * layers);
  hostBalance_.assign(routing_.size() * experts, 0);
  for (size_t layer = 0; layer < routing_.size(); ++layer) {
    const Routing& routing = routing_[layer];
    if (routing.chosen.empty()) continue;
    z += routing.squaredLogSumExp / (count * layers);
    for (size_t expert = 0; expert < experts; ++expert) {
      const double chosen =
          batch.auxScope == AuxScope::pooled ? pooledChosen[expert] : routing.chosen[expert] / count;
      balance += expertCount * chosen * routing.probabilities[expert] / (count * layers);
      hostBalance_[layer * experts + expert] =
          static_cast<float>(batch.auxCoef * share * expertCount * chosen / (count * layers));
    }
  }
  balanced_ = batch.auxCoef > 0;
  backend_.upload(balance_.data(), hostBalance_.data(), hostBalance_.size() * sizeof(float));
  z_ = static_cast<float>(batch.zCoef * share * 2 / (count * layers));
  losses.aux += share * balance;
  losses.z += share * z;
  losses.routers += share * (batch.auxCoef * balance + batch.zCoef * z);
}

}  // namespace rnd1
