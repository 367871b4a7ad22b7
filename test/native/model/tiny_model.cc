#include "tiny_model.h"

namespace rnd1::test {
namespace {

// Odd on purpose: the tensors after it are misaligned, as in a file with an odd header.
constexpr uint64_t headerBytes = 13;

std::string layerRole(size_t layer) { return "layers." + std::to_string(layer) + "."; }

}  // namespace

TinyModel::TinyModel(uint64_t seed, const TinyOptions& options) : options_(options) {
  LayerShape layer;
  layer.attention.heads = {6, 2, 20};
  layer.attention.headNorms = true;
  layer.attention.rotaryWidth = 20;
  layer.attention.ropeTheta = 1e4;
  layer.mlp.width = 27;
  layer.mlp.experts = 7;
  layer.mlp.expertsPerToken = 3;
  layer.mlp.normalise = options.normTopkProb;
  architecture_.layers.assign(3, layer);
  architecture_.hidden = 48;
  architecture_.vocabulary = 101;
  architecture_.maxPositions = 512;
  architecture_.rmsNormEpsilon = 1e-6f;
  architecture_.tiedHead = options.tieWordEmbeddings;
  architecture_.prediction = previousRow;
  options.change(architecture_);
  Noise noise(seed);
  add(noise, "embedding", architecture_.vocabulary, architecture_.hidden, 1);
  for (size_t index = 0; index < architecture_.layers.size(); ++index) addLayer(noise, index);
  add(noise, "norm", 1, architecture_.hidden, 0.2f, 1);
  if (!architecture_.tiedHead) add(noise, "head", architecture_.vocabulary, architecture_.hidden, 0.3f);
}

void TinyModel::addLayer(Noise& noise, size_t index) {
  const auto& [attention, mlp] = architecture_.layers[index];
  const HeadLayout& heads = attention.heads;
  const int64_t hidden = architecture_.hidden;
  std::string role = layerRole(index) + "attention.";
  add(noise, role + "norm", 1, hidden, 0.2f, 1);
  add(noise, role + "query", heads.queryColumns(), hidden, 0.2f);
  add(noise, role + "key", heads.keyValueColumns(), hidden, 0.2f);
  add(noise, role + "value", heads.keyValueColumns(), hidden, 0.2f);
  add(noise, role + "output", hidden, heads.queryColumns(), 0.2f);
  if (attention.headNorms) {
    add(noise, role + "queryNorm", 1, heads.headDim, 0.2f, 1.3f);
    add(noise, role + "keyNorm", 1, heads.headDim, 0.2f, 1.3f);
  }
  if (attention.bias) {
    add(noise, role + "queryBias", 1, heads.queryColumns(), 0.3f);
    add(noise, role + "keyBias", 1, heads.keyValueColumns(), 0.3f);
    add(noise, role + "valueBias", 1, heads.keyValueColumns(), 0.3f);
  }
  role = layerRole(index) + "mlp.";
  add(noise, role + "norm", 1, hidden, 0.2f, 1);
  if (mlp.experts == 0) return addMlp(noise, role, mlp.width);
  add(noise, role + "router", mlp.experts, hidden, 0.2f);
  for (int64_t expert = 0; expert < mlp.experts; ++expert)
    addMlp(noise, role + "experts." + std::to_string(expert) + ".", mlp.width);
  if (mlp.selectionBias) add(noise, role + "selectionBias", 1, mlp.experts, 0.1f);
  if (mlp.sharedWidth > 0) addMlp(noise, role + "shared.", mlp.sharedWidth);
}

void TinyModel::addMlp(Noise& noise, const std::string& role, int64_t width) {
  add(noise, role + "gate", width, architecture_.hidden, 0.2f);
  add(noise, role + "up", width, architecture_.hidden, 0.2f);
  add(noise, role + "down", architecture_.hidden, width, 0.2f);
}

void TinyModel::add(Noise& noise, const std::string& role, int64_t rows, int64_t columns, float deviation,
                    float mean) {
  // The biases of a layer have one dtype.
  const bool bias = role.ends_with("Bias");
  const DType dtype = options_.dtypes[bias ? 0 : order_.size() % options_.dtypes.size()];
  Matrix values(rows, columns);
  for (float& value : values.values) value = roundTo(dtype, mean + deviation * noise.normal());
  order_.push_back(role);
  dtypes_[role] = dtype;
  values_[role] = values;
}

void TinyModel::spoilToken(int32_t token) { values_["embedding"].at(token, 5) = std::nanf(""); }

Manifest TinyModel::manifest() {
  Manifest manifest;
  std::vector<std::byte> content(headerBytes);
  for (const std::string& role : order_) {
    const Matrix& values = values_.at(role);
    const HostWeight weight(values, dtypes_.at(role));
    TensorLocation location{
        "stored/" + role, 0, content.size(), dtypes_.at(role), {values.rows, values.columns}};
    if (values.rows == 1) location.shape = {values.columns};
    manifest.tensors[role] = location;
    const Weight mapped = weight.mapped();
    content.insert(content.end(), mapped.data, mapped.data + mapped.bytes());
  }
  if (!file_) file_.emplace(content);
  manifest.files = {file_->path()};
  return manifest;
}

std::unique_ptr<Model> TinyModel::load(std::unique_ptr<Backend> backend) {
  const AbortFlag never;
  return std::make_unique<Model>(
      architecture_, std::move(backend), manifest(), [](const LoadProgress&) {}, never);
}

Matrix TinyModel::tensor(const std::string& role, DType computeDtype) const {
  Matrix result = values_.at(role);
  for (float& value : result.values) value = roundTo(computeDtype, value);
  return result;
}

std::vector<Pass> forward(Model& model, const std::vector<std::vector<int32_t>>& canvases,
                          const std::vector<std::vector<int32_t>>& forced) {
  const Architecture& architecture = model.architecture();
  const auto layers = static_cast<int64_t>(architecture.layers.size());
  const int64_t expertLayers = architecture.expertLayers(), k = architecture.expertsPerToken();
  struct Outputs {
    std::vector<int32_t> rows, ids;
    Matrix logits, hidden, routerLogits, weights;
  };
  std::vector<Outputs> outputs(canvases.size());
  std::vector<ForwardCanvas> requests(canvases.size());
  for (size_t i = 0; i < canvases.size(); ++i) {
    const auto rows = static_cast<int64_t>(canvases[i].size());
    Outputs& out = outputs[i];
    for (int64_t row = 0; row < rows; ++row) out.rows.push_back(static_cast<int32_t>(row));
    out.ids.assign(static_cast<size_t>(expertLayers * rows * k), -1);
    out.logits = Matrix(rows, architecture.vocabulary);
    out.hidden = Matrix((layers + 2) * rows, architecture.hidden);
    out.routerLogits = Matrix(expertLayers * rows, architecture.experts());
    out.weights = Matrix(expertLayers * rows, k);
    requests[i] = {canvases[i],       out.rows,           {},
                   out.logits.values, out.hidden.values,  out.routerLogits.values,
                   out.ids,           out.weights.values, {}};
    if (!forced.empty()) requests[i].forcedExperts = forced[i];
  }
  const AbortFlag never;
  model.forward(requests, never);
  std::vector<Pass> passes(canvases.size());
  for (size_t i = 0; i < canvases.size(); ++i) {
    const auto rows = static_cast<int64_t>(canvases[i].size());
    passes[i].logits = outputs[i].logits;
    passes[i].expertIds = outputs[i].ids;
    for (int64_t stage = 0; stage < layers + 2; ++stage)
      passes[i].hidden.push_back(rowRange(outputs[i].hidden, stage * rows, rows));
    for (int64_t layer = 0; layer < expertLayers; ++layer) {
      passes[i].routerLogits.push_back(rowRange(outputs[i].routerLogits, layer * rows, rows));
      passes[i].expertWeights.push_back(rowRange(outputs[i].weights, layer * rows, rows));
    }
  }
  return passes;
}

namespace oracle {
namespace {

DoubleMatrix columnRange(const DoubleMatrix& matrix, int64_t first, int64_t count) {
  DoubleMatrix result(matrix.rows, count);
  for (int64_t row = 0; row < matrix.rows; ++row)
    std::copy(matrix.row(row) + first, matrix.row(row) + first + count, result.row(row));
  return result;
}

void addTo(DoubleMatrix& target, const DoubleMatrix& delta) {
  for (size_t i = 0; i < target.values.size(); ++i) target.values[i] += delta.values[i];
}

/** q, k and v side by side, normed and rotated; then attention and its output projection. */
DoubleMatrix attentionBlock(const TinyModel& tiny, DType computeDtype, size_t index,
                            const DoubleMatrix& normed) {
  const AttentionShape& shape = tiny.architecture().layers[index].attention;
  const HeadLayout& layout = shape.heads;
  const std::string role = layerRole(index) + "attention.";
  DoubleMatrix qkv(normed.rows, layout.columns());
  HeadNorms norms{{}, {}, {}, tiny.architecture().rmsNormEpsilon};
  int64_t first = 0;
  for (const char* name : {"query", "key", "value"}) {
    const DoubleMatrix part = matmul(normed, tiny.tensor(role + name, computeDtype));
    for (int64_t row = 0; row < normed.rows; ++row)
      std::copy(part.row(row), part.row(row) + part.columns, qkv.row(row) + first);
    first += part.columns;
    if (!shape.bias) continue;
    const std::vector<float> bias = tiny.tensor(role + name + "Bias", DType::f32).values;
    norms.bias.insert(norms.bias.end(), bias.begin(), bias.end());
  }
  std::vector<int32_t> positions;
  for (int64_t row = 0; row < normed.rows; ++row) positions.push_back(static_cast<int32_t>(row));
  if (shape.headNorms) {
    norms.queryNorm = tiny.tensor(role + "queryNorm", DType::f32).values;
    norms.keyNorm = tiny.tensor(role + "keyNorm", DType::f32).values;
  }
  qkv = normRope(qkv, layout, norms, positions, rotary(normed.rows, shape.rotaryWidth, shape.ropeTheta));
  const int32_t offsets[] = {0, static_cast<int32_t>(normed.rows)};
  const int64_t keys = layout.queryColumns();
  const int64_t values = keys + layout.keyValueColumns();
  const auto attended =
      attention(columnRange(qkv, 0, keys), columnRange(qkv, keys, layout.keyValueColumns()),
                columnRange(qkv, values, layout.keyValueColumns()), layout, offsets, offsets, positions,
                1 / std::sqrt(static_cast<double>(layout.headDim)), shape.mask.block);
  return matmul(attended.out, tiny.tensor(role + "output", computeDtype));
}

Expert expertOf(const TinyModel& tiny, DType computeDtype, const std::string& role) {
  return {tiny.tensor(role + "gate", computeDtype), tiny.tensor(role + "up", computeDtype),
          tiny.tensor(role + "down", computeDtype)};
}

/** Weights of the given experts (rows, k): their scores, normalised and scaled. */
DoubleMatrix routingWeights(const MlpShape& shape, const DoubleMatrix& logits, std::span<const int32_t> ids) {
  DoubleMatrix scores = softmax(logits);
  if (shape.score == RouterScore::sigmoid)
    for (size_t i = 0; i < scores.values.size(); ++i)
      scores.values[i] = 1 / (1 + std::exp(-logits.values[i]));
  DoubleMatrix weights(logits.rows, shape.expertsPerToken);
  for (int64_t row = 0; row < logits.rows; ++row) {
    const int32_t* chosen = ids.data() + row * shape.expertsPerToken;
    double sum = 0;
    for (int64_t rank = 0; rank < shape.expertsPerToken; ++rank)
      sum += weights.at(row, rank) = scores.at(row, chosen[rank]);
    for (int64_t rank = 0; rank < shape.expertsPerToken; ++rank)
      weights.at(row, rank) *= static_cast<double>(shape.scale) / (shape.normalise ? sum : 1);
  }
  return weights;
}

}  // namespace

ModelPass model(const TinyModel& tiny, DType computeDtype, std::span<const int32_t> tokens,
                std::span<const int32_t> expertIds) {
  const Architecture& architecture = tiny.architecture();
  const auto rows = static_cast<int64_t>(tokens.size());
  const Matrix table = tiny.tensor("embedding", DType::f32);
  ModelPass pass;
  DoubleMatrix residual(rows, architecture.hidden);
  for (int64_t row = 0; row < rows; ++row) {
    const float* embedding = table.row(tokens[static_cast<size_t>(row)]);
    std::copy(embedding, embedding + architecture.hidden, residual.row(row));
  }
  pass.hidden.push_back(residual);
  const auto norm = [&](const std::string& role) {
    return rmsNorm(residual, tiny.tensor(role, DType::f32).values, architecture.rmsNormEpsilon);
  };
  const auto addMlp = [&](const DoubleMatrix& normed, int64_t row, double weight, const std::string& role) {
    const auto part = mlp(normed.row(row), expertOf(tiny, computeDtype, role));
    for (int64_t column = 0; column < architecture.hidden; ++column)
      residual.at(row, column) += weight * part[static_cast<size_t>(column)];
  };
  for (size_t index = 0; index < architecture.layers.size(); ++index) {
    const MlpShape& shape = architecture.layers[index].mlp;
    addTo(residual, attentionBlock(tiny, computeDtype, index, norm(layerRole(index) + "attention.norm")));
    const std::string role = layerRole(index) + "mlp.";
    const DoubleMatrix normed = norm(role + "norm");
    if (shape.experts == 0) {
      for (int64_t row = 0; row < rows; ++row) addMlp(normed, row, 1, role);
    } else {
      const auto ids = expertIds.first(static_cast<size_t>(rows * shape.expertsPerToken));
      expertIds = expertIds.subspan(ids.size());
      pass.routerLogits.push_back(matmul(normed, tiny.tensor(role + "router", computeDtype)));
      pass.expertWeights.push_back(routingWeights(shape, pass.routerLogits.back(), ids));
      for (int64_t row = 0; row < rows; ++row) {
        for (int64_t rank = 0; rank < shape.expertsPerToken; ++rank) {
          const int32_t id = ids[static_cast<size_t>(row * shape.expertsPerToken + rank)];
          addMlp(normed, row, pass.expertWeights.back().at(row, rank),
                 role + "experts." + std::to_string(id) + ".");
        }
        if (shape.sharedWidth > 0) addMlp(normed, row, 1, role + "shared.");
      }
    }
    pass.hidden.push_back(residual);
  }
  const DoubleMatrix last = norm("norm");
  pass.hidden.push_back(last);
  pass.logits = matmul(last, tiny.tensor(architecture.tiedHead ? "embedding" : "head", computeDtype));
  return pass;
}

}  // namespace oracle
}  // namespace rnd1::test
