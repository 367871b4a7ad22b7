#include "training/parameters.h"

#include <algorithm>
#include <cstring>
#include <optional>

#include "checkpoint/loader.h"
#include "core/error.h"

namespace rnd1 {
namespace {

// Parameters begin at a cache line.
constexpr int64_t alignment = 16;

/** visit(role, shape) for all parameters, in the order of the graph. */
template <typename Visit>
void forEachRole(const Architecture& architecture, Visit&& visit) {
  const int64_t hidden = architecture.hidden;
  using Shape = std::vector<int64_t>;
  const auto visitMlp = [&](const std::string& role, int64_t width) {
    visit(role + "gate", Shape{width, hidden});
    visit(role + "up", Shape{width, hidden});
    visit(role + "down", Shape{hidden, width});
  };
  visit("embedding", Shape{architecture.vocabulary, hidden});
  for (size_t index = 0; index < architecture.layers.size(); ++index) {
    const auto& [attention, mlp] = architecture.layers[index];
    const std::string layer = "layers." + std::to_string(index);
    const int64_t queries = attention.heads.queryColumns(), keys = attention.heads.keyValueColumns();
    const std::string of = layer + ".attention.";
    visit(of + "norm", Shape{hidden});
    visit(of + "query", Shape{queries, hidden});
    visit(of + "key", Shape{keys, hidden});
    visit(of + "value", Shape{keys, hidden});
    if (attention.bias) {
      visit(of + "queryBias", Shape{queries});
      visit(of + "keyBias", Shape{keys});
      visit(of + "valueBias", Shape{keys});
    }
    if (attention.headNorms) {
      visit(of + "queryNorm", Shape{attention.heads.headDim});
      visit(of + "keyNorm", Shape{attention.heads.headDim});
    }
    visit(of + "output", Shape{hidden, queries});
    visit(layer + ".mlp.norm", Shape{hidden});
    if (mlp.experts == 0) {
      visitMlp(layer + ".mlp.", mlp.width);
      continue;
    }
    visit(layer + ".mlp.router", Shape{mlp.experts, hidden});
    for (int64_t expert = 0; expert < mlp.experts; ++expert)
      visitMlp(layer + ".mlp.experts." + std::to_string(expert) + ".", mlp.width);
    if (mlp.sharedWidth > 0) visitMlp(layer + ".mlp.shared.", mlp.sharedWidth);
  }
  visit("norm", Shape{hidden});
  if (!architecture.tiedHead) visit("head", Shape{architecture.vocabulary, hidden});
}

/** The parts of a bias, which lie side by side. */
bool isBias(const std::string& role) { return role.ends_with("Bias"); }

int64_t aligned(int64_t count) { return sizeSum(count, alignment - 1) / alignment * alignment; }

void widen(const Weight& weight, float* out) {
  const int64_t count = weight.rows * weight.columns;
  if (weight.dtype == DType::f32) {
    std::memcpy(out, weight.data, static_cast<size_t>(count) * sizeof(float));
    return;
  }
  for (int64_t i = 0; i < count; ++i) {
    uint16_t half = 0;
    std::memcpy(&half, weight.data + i * 2, sizeof half);
    out[i] = halfToFloat(weight.dtype, half);
  }
}

}  // namespace

Parameters::Parameters(const Architecture& architecture, const Manifest& given, Backend& backend,
                       DType products, const std::unordered_set<std::string>& frozen,
                       const std::function<void(const LoadProgress&)>& onProgress, const AbortFlag& abort)
    : ops_(*backend.training()),
      values_(backend),
      gradients_(backend),
      first_(backend),
      second_(backend),
      halves_(backend) {
  Manifest manifest = given;
  manifest.copied = false;
  int64_t count = 0;
  forEachRole(architecture, [&](const std::string&, const std::vector<int64_t>&) { ++count; });
  std::vector<std::optional<MappedFile>> mapped(manifest.files.size());
  std::vector<OwnedMemory> owned;
  Loader loader(manifest, mapped, backend, count, owned, onProgress, abort);
  // Found and checked before anything is allocated.
  forEachRole(architecture, [&](const std::string& role, const std::vector<int64_t>& shape) {
    loader.require(role, shape);
    int64_t elements = 1;
    for (const int64_t size : shape) elements = sizeProduct(elements, size);
    list_.push_back({role, shape, elements});
  });
  place(frozen);
  values_.reserve(valueCount_);
  ops_.clear({values_.data(), static_cast<size_t>(valueCount_)});  // what is between parameters, too
  if (products == DType::bf16) halves_.reserve(valueCount_);
  for (Buffer<float>* buffer : {&gradients_, &first_, &second_}) {
    buffer->reserve(trained_);
    ops_.clear({buffer->data(), static_cast<size_t>(trained_)});
  }
  std::vector<float> widened;
  for (const Parameter& parameter : list_) {
    abort.throwIfAborted();
    widened.resize(static_cast<size_t>(parameter.count));
    widen(loader.read(parameter.role, parameter.shape), widened.data());
    backend.upload(values_.data() + parameter.offset, widened.data(), widened.size() * sizeof(float));
  }
  for (const std::optional<MappedFile>& file : mapped)
    if (file) file->checkIntact();
  bind(architecture);
}

void Parameters::refresh() {
  if (stale_ && halves_.data())
    ops_.narrow({values_.data(), static_cast<size_t>(valueCount_)}, halves_.data());
  stale_ = false;
}

void Parameters::place(const std::unordered_set<std::string>& frozen) {
  for (const std::string& role : frozen) find(role);
  for (size_t i = 0; i < list_.size(); ++i) {
    Parameter& parameter = list_[i];
    const bool follows = i > 0 && isBias(parameter.role) && isBias(list_[i - 1].role);
    if (!follows) valueCount_ = aligned(valueCount_);
    parameter.offset = valueCount_;
    valueCount_ = sizeSum(valueCount_, parameter.count);
    if (follows ? list_[i - 1].frozen() : frozen.contains(parameter.role)) {
      if (follows && !frozen.contains(parameter.role))
        throw Error(ErrorCode::invalidArgument, "frozen: " + parameter.role + " is not, but " +
                                                    list_[i - 1].role + " is: freeze all three or none");
      continue;
    }
    if (follows && frozen.contains(parameter.role))
      throw Error(ErrorCode::invalidArgument, "frozen: " + list_[i - 1].role + " is not, but " +
                                                  parameter.role + " is: freeze all three or none");
    if (!follows) trained_ = aligned(trained_);
    parameter.trainedOffset = trained_;
    trained_ = sizeSum(trained_, parameter.count);
  }
}

const Parameter& Parameters::find(const std::string& role) const {
  const auto found =
      std::find_if(list_.begin(), list_.end(), [&](const Parameter& each) { return each.role == role; });
  if (found == list_.end())
    throw Error(ErrorCode::invalidArgument, "the model has no parameter '" + role + "'");
  return *found;
}

std::span<float> Parameters::array(const Parameter& parameter, ParameterArray which) const {
  const auto count = static_cast<size_t>(parameter.count);
  if (which == ParameterArray::value) return {values_.data() + parameter.offset, count};
  if (parameter.frozen())
    throw Error(ErrorCode::invalidArgument,
                "parameter '" + parameter.role + "' is frozen: it has neither gradient nor moments");
  const Buffer<float>& buffer = which == ParameterArray::gradient      ? gradients_
                                : which == ParameterArray::firstMoment ? first_
                                                                       : second_;
  return {buffer.data() + parameter.trainedOffset, count};
}

void Parameters::bind(const Architecture& architecture) {
  // In the order of forEachRole.
  size_t next = 0;
  const auto take = [&] {
    const Parameter& parameter = list_[next++];
    const bool matrix = parameter.shape.size() == 2;
    const bool narrow = halves_.data() && matrix && !parameter.role.ends_with(".router");
    const void* data = narrow ? static_cast<const void*>(halves_.data() + parameter.offset)
                              : static_cast<const void*>(values_.data() + parameter.offset);
    return TrainedWeight{Weight(data, narrow ? DType::bf16 : DType::f32, matrix ? parameter.shape[0] : 1,
                                parameter.shape.back()),
                         parameter.frozen() ? nullptr : gradients_.data() + parameter.trainedOffset};
  };
  const auto takeMlp = [&](ExpertWeights& weights, ExpertGradients& gradients) {
    const TrainedWeight gate = take(), up = take(), down = take();
    weights = {gate.value, up.value, down.value};
    gradients = {gate.gradient, up.gradient, down.gradient};
  };
  embedding = take();
  for (const auto& [attention, mlp] : architecture.layers) {
    LayerParameters& layer = layers_.emplace_back();
    layer.attentionNorm = take();
    layer.query = take();
    layer.key = take();
    layer.value = take();
    if (attention.bias) {
      layer.bias = take();
      layer.bias.value = Weight(layer.bias.value.data, DType::f32, 1, attention.heads.columns());
      take();
      take();
    }
    if (attention.headNorms) {
      layer.queryNorm = take();
      layer.keyNorm = take();
    }
    layer.output = take();
    layer.mlpNorm = take();
    if (mlp.experts > 0) layer.router = take();
    for (int64_t expert = 0; expert < std::max<int64_t>(mlp.experts, 1); ++expert)
      takeMlp(layer.experts.emplace_back(), layer.expertGradients.emplace_back());
    if (mlp.experts > 0 && mlp.sharedWidth > 0) takeMlp(layer.shared, layer.sharedGradients);
  }
  norm = take();
  head = architecture.tiedHead ? embedding : take();
}

}  // namespace rnd1
