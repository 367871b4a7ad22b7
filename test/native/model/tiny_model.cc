#include "tiny_model.h"

namespace rnd1::test {
namespace {

// Odd on purpose: the tensors after it are misaligned, as in a file with an odd header.
constexpr uint64_t headerBytes = 13;

std::string layerName(int64_t layer) { return "model.layers." + std::to_string(layer) + "."; }

}  // namespace

TinyModel::TinyModel(uint64_t seed, const TinyOptions& options) : options_(options) {
  config_.layers = 3;
  config_.hidden = 48;
  config_.heads = 6;
  config_.keyValueHeads = 2;
  config_.headDim = 20;
  config_.experts = 7;
  config_.expertsPerToken = 3;
  config_.expertWidth = 27;
  config_.vocabulary = 101;
  config_.maxPositions = 512;
  config_.rmsNormEpsilon = 1e-6f;
  config_.ropeTheta = 1e4;
  config_.normTopkProb = options.normTopkProb;
  config_.tieWordEmbeddings = options.tieWordEmbeddings;
  const HeadLayout heads = config_.headLayout();
  const int64_t hidden = config_.hidden;
  Noise noise(seed);
  add(noise, "model.embed_tokens.weight", config_.vocabulary, hidden, 1);
  for (int64_t layer = 0; layer < config_.layers; ++layer) {
    const std::string prefix = layerName(layer);
    add(noise, prefix + "input_layernorm.weight", 1, hidden, 0.2f, 1);
    add(noise, prefix + "self_attn.q_proj.weight", heads.queryColumns(), hidden, 0.2f);
    add(noise, prefix + "self_attn.k_proj.weight", heads.keyValueColumns(), hidden, 0.2f);
    add(noise, prefix + "self_attn.v_proj.weight", heads.keyValueColumns(), hidden, 0.2f);
    add(noise, prefix + "self_attn.o_proj.weight", hidden, heads.queryColumns(), 0.2f);
    add(noise, prefix + "self_attn.q_norm.weight", 1, heads.headDim, 0.2f, 1.3f);
    add(noise, prefix + "self_attn.k_norm.weight", 1, heads.headDim, 0.2f, 1.3f);
    add(noise, prefix + "post_attention_layernorm.weight", 1, hidden, 0.2f, 1);
    add(noise, prefix + "mlp.gate.weight", config_.experts, hidden, 0.2f);
    for (int64_t expert = 0; expert < config_.experts; ++expert) {
      const std::string name = prefix + "mlp.experts." + std::to_string(expert) + ".";
      add(noise, name + "gate_proj.weight", config_.expertWidth, hidden, 0.2f);
      add(noise, name + "up_proj.weight", config_.expertWidth, hidden, 0.2f);
      add(noise, name + "down_proj.weight", hidden, config_.expertWidth, 0.2f);
    }
  }
  add(noise, "model.norm.weight", 1, hidden, 0.2f, 1);
  if (!options.tieWordEmbeddings) add(noise, "lm_head.weight", config_.vocabulary, hidden, 0.3f);
}

void TinyModel::add(Noise& noise, const std::string& name, int64_t rows, int64_t columns, float deviation,
                    float mean) {
  const DType dtype = options_.dtypes[order_.size() % options_.dtypes.size()];
  Matrix values(rows, columns);
  for (float& value : values.values) value = roundTo(dtype, mean + deviation * noise.normal());
  order_.push_back(name);
  dtypes_[name] = dtype;
  values_[name] = values;
}

void TinyModel::spoilToken(int32_t token) {
  values_["model.embed_tokens.weight"].at(token, 5) = std::nanf("");
}

Manifest TinyModel::manifest() {
  Manifest manifest;
  std::vector<std::byte> content(headerBytes);
  for (const std::string& name : order_) {
    const Matrix& values = values_.at(name);
    const HostWeight weight(values, dtypes_.at(name));
    const bool isVector = name.find("norm.weight") != std::string::npos;
    TensorLocation location{0, content.size(), dtypes_.at(name), {values.rows, values.columns}};
    if (isVector) location.shape = {values.columns};
    manifest.tensors[name] = location;
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
      config_, std::move(backend), manifest(), [](const LoadProgress&) {}, never);
}

Matrix TinyModel::tensor(const std::string& name, DType computeDtype) const {
  Matrix result = values_.at(name);
  for (float& value : result.values) value = roundTo(computeDtype, value);
  return result;
}

std::vector<Pass> forward(Model& model, const std::vector<std::vector<int32_t>>& canvases,
                          const std::vector<std::vector<int32_t>>& forced) {
  const Config& config = model.config();
  const int64_t layers = config.layers;
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
    out.ids.assign(static_cast<size_t>(layers * rows * config.expertsPerToken), -1);
    out.logits = Matrix(rows, config.vocabulary);
    out.hidden = Matrix((layers + 2) * rows, config.hidden);
    out.routerLogits = Matrix(layers * rows, config.experts);
    out.weights = Matrix(layers * rows, config.expertsPerToken);
    requests[i] = {canvases[i],       out.rows,          {},
                   out.logits.values, out.hidden.values, out.routerLogits.values,
                   out.ids,           out.weights.values};
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
    for (int64_t layer = 0; layer < layers; ++layer) {
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
DoubleMatrix attentionBlock(const TinyModel& tiny, DType computeDtype, const std::string& prefix,
                            const DoubleMatrix& normed) {
  const Config& config = tiny.config();
  const HeadLayout layout = config.headLayout();
  DoubleMatrix qkv(normed.rows, layout.columns());
  int64_t first = 0;
  for (const char* name : {"q_proj", "k_proj", "v_proj"}) {
    const DoubleMatrix part =
        matmul(normed, tiny.tensor(prefix + "self_attn." + name + ".weight", computeDtype));
    for (int64_t row = 0; row < normed.rows; ++row)
      std::copy(part.row(row), part.row(row) + part.columns, qkv.row(row) + first);
    first += part.columns;
  }
  std::vector<int32_t> positions;
  for (int64_t row = 0; row < normed.rows; ++row) positions.push_back(static_cast<int32_t>(row));
  const HeadNorms norms{{},
                        tiny.tensor(prefix + "self_attn.q_norm.weight", DType::f32).values,
                        tiny.tensor(prefix + "self_attn.k_norm.weight", DType::f32).values,
                        config.rmsNormEpsilon};
  qkv = normRope(qkv, layout, norms, positions, rotary(normed.rows, config.headDim, config.ropeTheta));
  const int32_t offsets[] = {0, static_cast<int32_t>(normed.rows)};
  const int64_t keys = layout.queryColumns();
  const int64_t values = keys + layout.keyValueColumns();
  const auto attended = attention(columnRange(qkv, 0, keys), columnRange(qkv, keys, layout.keyValueColumns()),
                                  columnRange(qkv, values, layout.keyValueColumns()), layout, offsets,
                                  offsets, 1 / std::sqrt(static_cast<double>(config.headDim)));
  return matmul(attended.out, tiny.tensor(prefix + "self_attn.o_proj.weight", computeDtype));
}

}  // namespace

ModelPass model(const TinyModel& tiny, DType computeDtype, std::span<const int32_t> tokens,
                std::span<const int32_t> expertIds) {
  const Config& config = tiny.config();
  const auto rows = static_cast<int64_t>(tokens.size());
  const Matrix table = tiny.tensor("model.embed_tokens.weight", DType::f32);
  ModelPass pass;
  DoubleMatrix residual(rows, config.hidden);
  for (int64_t row = 0; row < rows; ++row) {
    const float* embedding = table.row(tokens[static_cast<size_t>(row)]);
    std::copy(embedding, embedding + config.hidden, residual.row(row));
  }
  pass.hidden.push_back(residual);
  const auto norm = [&](const std::string& name) {
    return rmsNorm(residual, tiny.tensor(name, DType::f32).values, config.rmsNormEpsilon);
  };
  for (int64_t layer = 0; layer < config.layers; ++layer) {
    const std::string prefix = layerName(layer);
    addTo(residual, attentionBlock(tiny, computeDtype, prefix, norm(prefix + "input_layernorm.weight")));
    const DoubleMatrix normed = norm(prefix + "post_attention_layernorm.weight");
    pass.routerLogits.push_back(matmul(normed, tiny.tensor(prefix + "mlp.gate.weight", computeDtype)));
    const DoubleMatrix probabilities = softmax(pass.routerLogits.back());
    DoubleMatrix weights(rows, config.expertsPerToken);
    for (int64_t row = 0; row < rows; ++row) {
      const int32_t* ids = expertIds.data() + (layer * rows + row) * config.expertsPerToken;
      double sum = 0;
      for (int64_t rank = 0; rank < config.expertsPerToken; ++rank)
        sum += weights.at(row, rank) = probabilities.at(row, ids[rank]);
      for (int64_t rank = 0; rank < config.expertsPerToken; ++rank) {
        if (config.normTopkProb) weights.at(row, rank) /= sum;
        const std::string name = prefix + "mlp.experts." + std::to_string(ids[rank]) + ".";
        const Expert expert{tiny.tensor(name + "gate_proj.weight", computeDtype),
                            tiny.tensor(name + "up_proj.weight", computeDtype),
                            tiny.tensor(name + "down_proj.weight", computeDtype)};
        const auto part = mlp(normed.row(row), expert);
        for (int64_t column = 0; column < config.hidden; ++column)
          residual.at(row, column) += weights.at(row, rank) * part[static_cast<size_t>(column)];
      }
    }
    pass.expertWeights.push_back(weights);
    pass.hidden.push_back(residual);
  }
  const DoubleMatrix last = norm("model.norm.weight");
  pass.hidden.push_back(last);
  const char* head = config.tieWordEmbeddings ? "model.embed_tokens.weight" : "lm_head.weight";
  pass.logits = matmul(last, tiny.tensor(head, computeDtype));
  return pass;
}

}  // namespace oracle
}  // namespace rnd1::test
