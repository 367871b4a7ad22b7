#include "model/attention.h"

#include <algorithm>
#include <cmath>

namespace rnd1 {

void Attention::load(Loader& loader) {
  const size_t index = weights_.size();
  const AttentionShape& shape = architecture_.layers[index].attention;
  const HeadLayout& heads = shape.heads;
  const int64_t hidden = architecture_.hidden;
  const std::string role = "layers." + std::to_string(index) + ".attention.";
  LayerWeights& layer = weights_.emplace_back();
  layer.norm = loader.loadUnquantized(role + "norm", {hidden});
  layer.queryKeyValue[0] = loader.loadMatmul(role + "query", {heads.queryColumns(), hidden});
  layer.queryKeyValue[1] = loader.loadMatmul(role + "key", {heads.keyValueColumns(), hidden});
  layer.queryKeyValue[2] = loader.loadMatmul(role + "value", {heads.keyValueColumns(), hidden});
  if (shape.bias) {
    const std::pair<std::string, int64_t> parts[] = {{role + "queryBias", heads.queryColumns()},
                                                     {role + "keyBias", heads.keyValueColumns()},
                                                     {role + "valueBias", heads.keyValueColumns()}};
    layer.bias = loader.loadJoined(parts);
  }
  if (shape.headNorms) {
    layer.queryNorm = loader.loadUnquantized(role + "queryNorm", {heads.headDim});
    layer.keyNorm = loader.loadUnquantized(role + "keyNorm", {heads.headDim});
  }
  layer.output = loader.loadMatmul(role + "output", {hidden, heads.queryColumns()});
  layer.rotary = rotaryOf(shape);
  for (size_t before = 0; before < index; ++before)
    layer.cacheColumns += 2 * architecture_.layers[before].attention.heads.keyValueColumns();
}

size_t Attention::rotaryOf(const AttentionShape& shape) {
  const auto found = std::find_if(rotary_.begin(), rotary_.end(), [&](const auto& rotary) {
    return rotary->width == shape.rotaryWidth && rotary->theta == shape.ropeTheta;
  });
  if (found != rotary_.end()) return static_cast<size_t>(found - rotary_.begin());
  rotary_.push_back(std::make_unique<Rotary>(backend_, shape.rotaryWidth, shape.ropeTheta));
  return rotary_.size() - 1;
}

void Attention::Rotary::extend(Backend& backend, int64_t count) {
  if (count <= positions) return;
  const int64_t half = width / 2;
  std::vector<float> values(static_cast<size_t>(sizeProduct(count, width)));
  for (int64_t position = 0; position < count; ++position) {
    float* row = values.data() + position * width;
    for (int64_t i = 0; i < half; ++i) {
      const double frequency = std::pow(theta, -2.0 * static_cast<double>(i) / static_cast<double>(width));
      const double angle = static_cast<double>(position) * frequency;
      row[i] = static_cast<float>(std::cos(angle));
      row[half + i] = static_cast<float>(std::sin(angle));
    }
  }
  positions = 0;
  table.reserve(static_cast<int64_t>(values.size()));
  backend.upload(table.data(), values.data(), values.size() * sizeof(float));
  positions = count;
}

void Attention::reserve(int64_t rows, int64_t length, Limits& limits) {
  int64_t columns = 0, queryColumns = 0;
  for (const auto& [attention, mlp] : architecture_.layers) {
    columns = std::max(columns, attention.heads.columns());
    queryColumns = std::max(queryColumns, attention.heads.queryColumns());
    limits.headDim = std::max(limits.headDim, attention.heads.headDim);
    if (attention.bias) limits.biasColumns = std::max(limits.biasColumns, attention.heads.columns());
  }
  limits.innerColumns = std::max({limits.innerColumns, architecture_.hidden, queryColumns});
  qkv_.reserve(sizeProduct(rows, columns));
  attended_.reserve(sizeProduct(rows, queryColumns));
  for (const auto& rotary : rotary_) rotary->extend(backend_, length);
}

Tensor Attention::attend(size_t index, Tensor normed, const PackedRows& rows, const AttentionMask* mask) {
  const LayerWeights& layer = weights_[index];
  const AttentionShape& shape = architecture_.layers[index].attention;
  const HeadLayout& heads = shape.heads;
  const Rotary& rotary = *rotary_[layer.rotary];
  const Tensor qkv = tensorIn(qkv_, normed, heads.columns());
  const Tensor query = qkv.columnRange(0, heads.queryColumns());
  const Tensor key = qkv.columnRange(heads.queryColumns(), heads.keyValueColumns());
  const Tensor value =
      qkv.columnRange(heads.queryColumns() + heads.keyValueColumns(), heads.keyValueColumns());
  const Tensor attended = tensorIn(attended_, normed, heads.queryColumns());
  backend_.matmul(normed, layer.queryKeyValue, qkv);
  backend_.normRope(qkv, heads, {layer.bias, layer.queryNorm, layer.keyNorm, architecture_.rmsNormEpsilon},
                    rows.positions, Tensor(rotary.table.data(), rotary.positions, rotary.width));
  const float scale = 1.0f / std::sqrt(static_cast<float>(heads.headDim));
  const LayerCaches caches{rows.caches, layer.cacheColumns};
  if (rows.caches) backend_.cacheKeys(key, value, rows.canvases, rows.positions, caches);
  backend_.attention(query, key, value, heads, {rows.canvases, rows.positions, rows.canvases, caches},
                     mask ? *mask : shape.mask, scale, attended, nullptr);
  return attended;
}

Tensor Attention::select(Tensor attended, const RowSelection& rows) {
  // Queries, keys and values have been used.
  const Tensor selected = Tensor(qkv_.data(), rows.count, attended.columns).limitedTo(rows.validRows);
  backend_.gatherRows(attended, rows.rows, selected);
  return selected;
}

}  // namespace rnd1
