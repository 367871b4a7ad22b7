#include "model/weights.h"

#include "checkpoint/loader.h"

namespace rnd1 {

Weights::Weights(const Config& config, const Manifest& manifest, Backend& backend,
                 const std::function<void(const LoadProgress&)>& onProgress, const AbortFlag& abort) {
  mapped_.resize(manifest.files.size());
  const int64_t perLayer = 9 + 3 * config.experts;
  Loader loader(manifest, mapped_, backend, config.layers * perLayer + (config.tieWordEmbeddings ? 2 : 3),
                owned_, onProgress, abort);

  const HeadLayout heads = config.headLayout();
  const int64_t hidden = config.hidden;
  embedding = loader.loadUnquantized("model.embed_tokens.weight", {config.vocabulary, hidden});
  // One by one, here and below: sizes that the tensors do not confirm must not allocate.
  for (int64_t index = 0; index < config.layers; ++index) {
    LayerWeights& layer = layers.emplace_back();
    const std::string prefix = "model.layers." + std::to_string(index) + ".";
    const std::string attention = prefix + "self_attn.";
    layer.inputNorm = loader.loadUnquantized(prefix + "input_layernorm.weight", {hidden});
    layer.queryKeyValue[0] = loader.loadMatmul(attention + "q_proj.weight", {heads.queryColumns(), hidden});
    layer.queryKeyValue[1] =
        loader.loadMatmul(attention + "k_proj.weight", {heads.keyValueColumns(), hidden});
    layer.queryKeyValue[2] =
        loader.loadMatmul(attention + "v_proj.weight", {heads.keyValueColumns(), hidden});
    layer.attentionOutput = loader.loadMatmul(attention + "o_proj.weight", {hidden, heads.queryColumns()});
    layer.queryNorm = loader.loadUnquantized(attention + "q_norm.weight", {config.headDim});
    layer.keyNorm = loader.loadUnquantized(attention + "k_norm.weight", {config.headDim});
    layer.postAttentionNorm = loader.loadUnquantized(prefix + "post_attention_layernorm.weight", {hidden});
    layer.router = loader.loadUnquantized(prefix + "mlp.gate.weight", {config.experts, hidden});
    for (int64_t number = 0; number < config.experts; ++number) {
      const std::string name = prefix + "mlp.experts." + std::to_string(number) + ".";
      ExpertWeights& expert = layer.experts.emplace_back();
      expert.gate = loader.loadMatmul(name + "gate_proj.weight", {config.expertWidth, hidden});
      expert.up = loader.loadMatmul(name + "up_proj.weight", {config.expertWidth, hidden});
      expert.down = loader.loadMatmul(name + "down_proj.weight", {hidden, config.expertWidth});
    }
  }
  finalNorm = loader.loadUnquantized("model.norm.weight", {hidden});
  lmHead =
      config.tieWordEmbeddings ? embedding : loader.loadMatmul("lm_head.weight", {config.vocabulary, hidden});
  bytes = loader.bytes();
  checkFiles();
}

void Weights::checkFiles() const {
  for (const std::optional<MappedFile>& file : mapped_)
    if (file) file->checkIntact();
}

}  // namespace rnd1
