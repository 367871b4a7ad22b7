#include "model/weights.h"

#include "core/error.h"

namespace rnd1 {
namespace {

std::string describe(const std::vector<int64_t>& shape) {
  std::string text = "[";
  for (size_t i = 0; i < shape.size(); ++i) text += (i ? ", " : "") + std::to_string(shape[i]);
  return text + "]";
}

/** Finds tensors by name, checks them, and hands their mapped bytes to the backend. */
class Loader {
 public:
  Loader(const Manifest& manifest, const std::vector<MappedFile>& files, Backend& backend,
         int64_t totalTensors, const std::function<void(const LoadProgress&)>& onProgress,
         const AbortFlag& abort)
      : manifest_(manifest), files_(files), backend_(backend), onProgress_(onProgress), abort_(abort) {
    progress_.totalTensors = totalTensors;
    for (const auto& [name, location] : manifest.tensors) progress_.totalBytes += byteLength(location);
    backend.expectWeights(progress_.totalBytes, totalTensors);
  }

  Weight load(const std::string& name, std::vector<int64_t> shape) {
    abort_.throwIfAborted();
    const auto found = manifest_.tensors.find(name);
    if (found == manifest_.tensors.end())
      throw Error(ErrorCode::invalidCheckpoint, "tensor " + name + " is missing");
    const TensorLocation& location = found->second;
    if (location.file >= files_.size())
      throw Error(ErrorCode::invalidCheckpoint,
                  "tensor " + name + " is in a file that the manifest does not list");
    const MappedFile& file = files_[location.file];
    if (location.shape != shape)
      throw Error(ErrorCode::invalidCheckpoint, file.path() + ": tensor " + name + " has the shape " +
                                                    describe(location.shape) + ", expected " +
                                                    describe(shape));
    Weight weight(nullptr, location.dtype, shape.size() == 2 ? shape[0] : 1, shape.back());
    const auto bytes = static_cast<uint64_t>(weight.bytes());
    const uint64_t size = file.bytes().size();
    if (location.offset > size || bytes > size - location.offset)
      throw Error(ErrorCode::invalidCheckpoint, file.path() + ": tensor " + name + " ends at byte " +
                                                    std::to_string(location.offset + bytes) +
                                                    ", the file at " + std::to_string(size));
    file.willNeed(location.offset, bytes);
    weight.data = file.bytes().data() + location.offset;
    progress_.bytes += weight.bytes();
    ++progress_.tensors;
    weight = backend_.place(weight);
    // Enough events for a smooth bar, few enough for a model of twenty thousand tensors.
    if (progress_.tensors == progress_.totalTensors ||
        progress_.tensors * 200 / progress_.totalTensors !=
            (progress_.tensors - 1) * 200 / progress_.totalTensors)
      onProgress_(progress_);
    return weight;
  }

  int64_t bytes() const { return progress_.bytes; }

 private:
  static int64_t byteLength(const TensorLocation& location) {
    int64_t count = static_cast<int64_t>(dtypeSize(location.dtype));
    for (const int64_t size : location.shape) count *= size;
    return count;
  }

  const Manifest& manifest_;
  const std::vector<MappedFile>& files_;
  Backend& backend_;
  const std::function<void(const LoadProgress&)>& onProgress_;
  const AbortFlag& abort_;
  LoadProgress progress_;
};

}  // namespace

Weights::Weights(const Config& config, const Manifest& manifest, Backend& backend,
                 const std::function<void(const LoadProgress&)>& onProgress, const AbortFlag& abort) {
  files_.reserve(manifest.files.size());
  for (const std::string& path : manifest.files) files_.emplace_back(path);
  const int64_t perLayer = 9 + 3 * config.experts;
  Loader loader(manifest, files_, backend, config.layers * perLayer + (config.tieWordEmbeddings ? 2 : 3),
                onProgress, abort);

  const HeadLayout heads = config.headLayout();
  const int64_t hidden = config.hidden;
  embedding = loader.load("model.embed_tokens.weight", {config.vocabulary, hidden});
  // One by one, here and below: sizes that the tensors do not bear out must not take memory.
  for (int64_t index = 0; index < config.layers; ++index) {
    LayerWeights& layer = layers.emplace_back();
    const std::string prefix = "model.layers." + std::to_string(index) + ".";
    const std::string attention = prefix + "self_attn.";
    layer.inputNorm = loader.load(prefix + "input_layernorm.weight", {hidden});
    layer.queryKeyValue[0] = loader.load(attention + "q_proj.weight", {heads.queryColumns(), hidden});
    layer.queryKeyValue[1] = loader.load(attention + "k_proj.weight", {heads.keyValueColumns(), hidden});
    layer.queryKeyValue[2] = loader.load(attention + "v_proj.weight", {heads.keyValueColumns(), hidden});
    layer.attentionOutput = loader.load(attention + "o_proj.weight", {hidden, heads.queryColumns()});
    layer.queryNorm = loader.load(attention + "q_norm.weight", {config.headDim});
    layer.keyNorm = loader.load(attention + "k_norm.weight", {config.headDim});
    layer.postAttentionNorm = loader.load(prefix + "post_attention_layernorm.weight", {hidden});
    layer.router = loader.load(prefix + "mlp.gate.weight", {config.experts, hidden});
    for (int64_t number = 0; number < config.experts; ++number) {
      const std::string name = prefix + "mlp.experts." + std::to_string(number) + ".";
      ExpertWeights& expert = layer.experts.emplace_back();
      expert.gate = loader.load(name + "gate_proj.weight", {config.expertWidth, hidden});
      expert.up = loader.load(name + "up_proj.weight", {config.expertWidth, hidden});
      expert.down = loader.load(name + "down_proj.weight", {hidden, config.expertWidth});
    }
  }
  finalNorm = loader.load("model.norm.weight", {hidden});
  head = config.tieWordEmbeddings ? embedding : loader.load("lm_head.weight", {config.vocabulary, hidden});
  bytes = loader.bytes();
}

}  // namespace rnd1
