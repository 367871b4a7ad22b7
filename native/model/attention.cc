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
  layer.rotary = rotary_.add(shape.rotaryWidth, shape.ropeTheta);
  for (size_t before = 0; before < index; ++before)
    layer.cacheColumns += 2 * architecture_.layers[before].attention.heads.keyValueColumns();
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
  rotary_.extend(length);
}

Tensor Attention::attend(size_t index, Tensor normed, const PackedRows& rows, const AttentionMask* mask) {
  const LayerWeights& layer = weights_[index];
  const AttentionShape& shape = architecture_.layers[index].attention;
  const HeadLayout& heads = shape.heads;
  const Tensor qkv = tensorIn(qkv_, normed, heads.columns());
  const Tensor attended = activationsIn(backend_, attended_, normed, heads.queryColumns());
  backend_.matmul(normed, layer.queryKeyValue, qkv);
  const Tensor rotated = heads.headDim % 8 == 0 ? qkv.narrowed(backend_.activationDtype()) : qkv;
  backend_.normRope(qkv, heads, {layer.bias, layer.queryNorm, layer.keyNorm, architecture_.rmsNormEpsilon},
                    rows.positions, rotary_[layer.rotary], rotated);
  const Tensor query = rotated.columnRange(0, heads.queryColumns());
  const Tensor key = rotated.columnRange(heads.queryColumns(), heads.keyValueColumns());
  const Tensor value =
      rotated.columnRange(heads.queryColumns() + heads.keyValueColumns(), heads.keyValueColumns());
  const float scale = 1.0f / std::sqrt(static_cast<float>(heads.headDim));
  const LayerCaches caches{rows.caches, layer.cacheColumns};
  if (rows.caches) backend_.cacheKeys(key, value, rows.canvases, rows.positions, caches);
  backend_.attention(query, key, value, heads, {rows.canvases, rows.positions, rows.canvases, caches},
                     mask ? *mask : shape.mask, scale, attended, nullptr);
  return attended;
}

Tensor Attention::select(Tensor attended, const RowSelection& rows) {
  // Queries, keys and values have been used.
  Tensor selected = Tensor(qkv_.data(), rows.count, attended.columns).limitedTo(rows.validRows);
  selected.dtype = attended.dtype;
  backend_.gatherRows(attended, rows.rows, selected);
  return selected;
}

}  // namespace rnd1
