// A small model whose description and file are bent: it loads and steps, or an Error says why not.
#include <memory>
#include <new>
#include <stdexcept>
#include <string>
#include <vector>

#include "backend/registry.h"
#include "core/error.h"
#include "core/quantized.h"
#include "input.h"
#include "model/graph.h"
#include "temporary.h"

namespace rnd1::fuzz {
namespace {

struct Checkpoint {
  Config config;
  Manifest manifest;
  std::vector<std::string> names;  // in the order of the file
  std::vector<std::byte> content;
};

/** Where tensors lie in a file that is yet to be written. */
class Writer {
 public:
  explicit Writer(Checkpoint& checkpoint, DType dtype, Input& input)
      : checkpoint_(checkpoint), dtype_(dtype), input_(input) {}

  void unquantized(const std::string& name, std::vector<int64_t> shape, DType dtype) {
    int64_t count = 1;
    for (const int64_t size : shape) count *= size;
    const uint64_t offset = append(weightBytes(input_, dtype, count));
    add(name, {0, offset, dtype, std::move(shape)});
  }

  /** Of a product: quantized where the checkpoint is. */
  void product(const std::string& name, int64_t rows, int64_t columns) {
    if (!isQuantized(dtype_)) return unquantized(name, {rows, columns}, dtype_);
    const QuantizedShape shape{dtype_, rows, columns, quantizedGroup(columns, 64)};
    TensorLocation location{0, 0, dtype_, {rows, columns}};
    location.group = shape.group;
    const std::vector<std::byte> data(static_cast<size_t>(shape.dataBytes()), std::byte{0x91});
    location.offset = append(data);
    checkpoint_.content.resize((checkpoint_.content.size() + 1) / 2 * 2);
    location.scales = {0, append(weightBytes(input_, DType::f16, shape.scaleCount()))};
    if (hasMinimums(dtype_))
      location.minimums = {0, append(weightBytes(input_, DType::f16, shape.scaleCount()))};
    add(name, location);
  }

 private:
  uint64_t append(const std::vector<std::byte>& bytes) {
    const uint64_t offset = checkpoint_.content.size();
    checkpoint_.content.insert(checkpoint_.content.end(), bytes.begin(), bytes.end());
    return offset;
  }
  void add(const std::string& name, TensorLocation location) {
    checkpoint_.names.push_back(name);
    checkpoint_.manifest.tensors[name] = std::move(location);
  }

  Checkpoint& checkpoint_;
  const DType dtype_;
  Input& input_;
};

Checkpoint makeCheckpoint(Input& input) {
  Checkpoint made;
  Config& config = made.config;
  config.layers = input.ConsumeIntegralInRange<int64_t>(1, 2);
  config.hidden = smallSize(input, 1, 70);
  config.keyValueHeads = input.ConsumeIntegralInRange<int64_t>(1, 2);
  config.heads = config.keyValueHeads * input.ConsumeIntegralInRange<int64_t>(1, 3);
  config.headDim = 2 * smallSize(input, 1, 20);
  config.experts = smallSize(input, 1, 6);
  config.expertsPerToken = input.ConsumeIntegralInRange<int64_t>(1, config.experts);
  config.expertWidth = smallSize(input, 1, 40);
  config.vocabulary = smallSize(input, 2, 100);
  config.maxPositions = 64;
  config.rmsNormEpsilon = 1e-6f;
  config.ropeTheta = 1e4;
  config.normTopkProb = input.ConsumeBool();
  config.tieWordEmbeddings = input.ConsumeBool();
  constexpr DType dtypes[] = {DType::f32, DType::f16, DType::bf16, DType::q8, DType::q4};
  const DType dtype = input.PickValueInArray(dtypes), other = isQuantized(dtype) ? DType::bf16 : dtype;
  const HeadLayout heads = config.headLayout();
  Writer writer(made, dtype, input);
  made.content.resize(input.ConsumeIntegralInRange<size_t>(0, 9));
  writer.unquantized("model.embed_tokens.weight", {config.vocabulary, config.hidden}, other);
  for (int64_t index = 0; index < config.layers; ++index) {
    const std::string prefix = "model.layers." + std::to_string(index) + ".";
    const std::string attention = prefix + "self_attn.";
    writer.unquantized(prefix + "input_layernorm.weight", {config.hidden}, other);
    writer.unquantized(prefix + "post_attention_layernorm.weight", {config.hidden}, other);
    writer.product(attention + "q_proj.weight", heads.queryColumns(), config.hidden);
    writer.product(attention + "k_proj.weight", heads.keyValueColumns(), config.hidden);
    writer.product(attention + "v_proj.weight", heads.keyValueColumns(), config.hidden);
    writer.product(attention + "o_proj.weight", config.hidden, heads.queryColumns());
    writer.unquantized(attention + "q_norm.weight", {config.headDim}, other);
    writer.unquantized(attention + "k_norm.weight", {config.headDim}, other);
    writer.unquantized(prefix + "mlp.gate.weight", {config.experts, config.hidden}, other);
    for (int64_t expert = 0; expert < config.experts; ++expert) {
      const std::string name = prefix + "mlp.experts." + std::to_string(expert) + ".";
      writer.product(name + "gate_proj.weight", config.expertWidth, config.hidden);
      writer.product(name + "up_proj.weight", config.expertWidth, config.hidden);
      writer.product(name + "down_proj.weight", config.hidden, config.expertWidth);
    }
  }
  writer.unquantized("model.norm.weight", {config.hidden}, other);
  if (!config.tieWordEmbeddings) writer.product("lm_head.weight", config.vocabulary, config.hidden);
  return made;
}

void bendConfig(Config& config, Input& input) {
  int64_t* sizes[] = {&config.layers,     &config.hidden,      &config.heads,       &config.keyValueHeads,
                      &config.headDim,    &config.experts,     &config.expertWidth, &config.expertsPerToken,
                      &config.vocabulary, &config.maxPositions};
  *input.PickValueInArray(sizes) = anySize(input);
}

void bendTensor(Checkpoint& checkpoint, Input& input) {
  const size_t index = input.ConsumeIntegralInRange<size_t>(0, checkpoint.names.size() - 1);
  TensorLocation& tensor = checkpoint.manifest.tensors[checkpoint.names[index]];
  constexpr DType dtypes[] = {DType::f32, DType::f16, DType::bf16, DType::q8, DType::q4};
  switch (input.ConsumeIntegralInRange<int>(0, 8)) {
    case 0:
      tensor.offset = static_cast<uint64_t>(anySize(input));
      break;
    case 1:
      tensor.scales.offset = static_cast<uint64_t>(anySize(input));
      break;
    case 2:
      tensor.minimums.offset = static_cast<uint64_t>(anySize(input));
      break;
    case 3:
      tensor.file = input.ConsumeIntegralInRange<size_t>(0, 3);
      break;
    case 4:
      tensor.scales.file = static_cast<size_t>(anySize(input));
      break;
    case 5:
      tensor.dtype = input.PickValueInArray(dtypes);
      break;
    case 6:
      tensor.group = static_cast<int32_t>(anySize(input));
      break;
    case 7:
      if (!tensor.shape.empty())
        tensor.shape[input.ConsumeIntegralInRange<size_t>(0, tensor.shape.size() - 1)] = anySize(input);
      break;
    default:
      tensor.shape.resize(input.ConsumeIntegralInRange<size_t>(0, 4), anySize(input));
  }
}

void stepOnce(Model& model, Input& input) {
  const Config& config = model.config();
  const auto length = input.ConsumeIntegralInRange<int32_t>(2, 40);
  std::vector<int32_t> tokens, masked, banned;
  for (int32_t position = 0; position < length; ++position) {
    tokens.push_back(input.ConsumeIntegralInRange<int32_t>(0, static_cast<int32_t>(config.vocabulary - 1)));
    if (input.ConsumeBool()) masked.push_back(position);
  }
  if (masked.empty()) masked.push_back(length - 1);
  std::vector<uint8_t> eligible(masked.size(), 1);
  std::vector<Score> scores(masked.size());
  StepCanvas canvas;
  canvas.tokens = tokens;
  canvas.masked = masked;
  canvas.eligible = eligible;
  canvas.scores = scores;
  canvas.sampling.topK = input.ConsumeIntegralInRange<int32_t>(0, 5);
  canvas.sampling.topP = input.ConsumeFloatingPointInRange(0.0f, 1.0f);
  canvas.sampling.greedy = input.ConsumeBool();
  const AbortFlag never;
  model.step({&canvas, 1}, never);
  for (const Score& score : scores)
    if (canvas.finite && (score.token < 0 || score.token >= config.vocabulary)) std::abort();
}

}  // namespace

void run(Input& input) {
  Checkpoint checkpoint = makeCheckpoint(input);
  for (int bends = input.ConsumeIntegralInRange<int>(0, 3); bends > 0; --bends) {
    if (input.ConsumeIntegralInRange<int>(0, 3) == 0) {
      bendConfig(checkpoint.config, input);
    } else {
      bendTensor(checkpoint, input);
    }
  }
  Manifest& manifest = checkpoint.manifest;
  if (input.ConsumeBool())
    checkpoint.content.resize(input.ConsumeIntegralInRange<size_t>(0, checkpoint.content.size()));
  manifest.copied = input.ConsumeBool();
  if (input.ConsumeBool())
    manifest.quantize =
        Quantization{input.ConsumeBool() ? DType::q8 : DType::q4, input.ConsumeBool() ? 64 : 32};
  const TemporaryFile file(checkpoint.content);
  manifest.files = {file.path()};
  if (input.ConsumeBool()) manifest.files.push_back(file.path());
  const DType computeDtype = unquantizedDType(input);
  const bool cut = input.ConsumeBool();
  const AbortFlag never;
  try {
    Model model(
        checkpoint.config, makeBackend("cpu", computeDtype, input.ConsumeIntegralInRange<int>(1, 2)),
        manifest, [](const LoadProgress&) {}, never);
    stepOnce(model, input);
    if (cut && ::truncate(file.path().c_str(), input.ConsumeIntegralInRange<off_t>(0, 1000)) != 0)
      std::abort();
    stepOnce(model, input);
  } catch (const Error&) {
  } catch (const std::bad_alloc&) {
  } catch (const std::length_error&) {
  }
}

}  // namespace rnd1::fuzz
