// A small model whose description and file are bent: it loads and steps, or an Error says why not.
#include <memory>
#include <new>
#include <stdexcept>
#include <string>
#include <vector>

#include "backend/registry.h"
#include "core/error.h"
#include "core/fp8.h"
#include "core/quantized.h"
#include "input.h"
#include "model/graph.h"
#include "temporary.h"

namespace rnd1::fuzz {
namespace {

struct Checkpoint {
  Architecture architecture;
  Manifest manifest;
  std::vector<std::string> roles;  // in the order of the file
  std::vector<std::byte> content;
};

/** Where tensors lie in a file that is yet to be written. */
class Writer {
 public:
  explicit Writer(Checkpoint& checkpoint, DType dtype, Input& input)
      : checkpoint_(checkpoint), dtype_(dtype), input_(input) {}

  void unquantized(const std::string& role, std::vector<int64_t> shape, DType dtype) {
    int64_t count = 1;
    for (const int64_t size : shape) count *= size;
    const uint64_t offset = append(weightBytes(input_, dtype, count));
    add(role, {role, 0, offset, dtype, std::move(shape)});
  }

  /** Of a matmul: quantized where the checkpoint is. */
  void matmul(const std::string& role, int64_t rows, int64_t columns) {
    if (!isQuantized(dtype_)) return unquantized(role, {rows, columns}, dtype_);
    if (dtype_ == DType::fp8) return fp8(role, rows, columns);
    const QuantizedShape shape{dtype_, rows, columns, quantizedGroup(columns, 64)};
    TensorLocation location{role, 0, 0, dtype_, {rows, columns}};
    location.group = shape.group;
    const std::vector<std::byte> data(static_cast<size_t>(shape.dataBytes()), std::byte{0x91});
    location.offset = append(data);
    checkpoint_.content.resize((checkpoint_.content.size() + 1) / 2 * 2);
    location.scales = {0, append(weightBytes(input_, DType::f16, shape.scaleCount()))};
    if (hasMinimums(dtype_))
      location.minimums = {0, append(weightBytes(input_, DType::f16, shape.scaleCount()))};
    add(role, location);
  }

  /** Numbers and scales of their blocks, which a CPU decodes. */
  void fp8(const std::string& role, int64_t rows, int64_t columns) {
    TensorLocation location{role, 0, 0, DType::bf16, {rows, columns}};
    location.blocks = BlockType::fp8;
    location.offset = append(std::vector<std::byte>(static_cast<size_t>(rows * columns), std::byte{0x91}));
    location.blockScaleDtype = unquantizedDType(input_);
    location.blockScales = {
        0, append(weightBytes(input_, location.blockScaleDtype, fp8Blocks(rows) * fp8Blocks(columns)))};
    add(role, location);
  }

  void mlp(const std::string& role, int64_t width, int64_t hidden) {
    matmul(role + "gate", width, hidden);
    matmul(role + "up", width, hidden);
    matmul(role + "down", hidden, width);
  }

 private:
  uint64_t append(const std::vector<std::byte>& bytes) {
    const uint64_t offset = checkpoint_.content.size();
    checkpoint_.content.insert(checkpoint_.content.end(), bytes.begin(), bytes.end());
    return offset;
  }
  void add(const std::string& role, TensorLocation location) {
    checkpoint_.roles.push_back(role);
    checkpoint_.manifest.tensors[role] = std::move(location);
  }

  Checkpoint& checkpoint_;
  const DType dtype_;
  Input& input_;
};

AttentionShape makeAttention(Input& input) {
  AttentionShape shape;
  shape.heads.keyValueHeads = input.ConsumeIntegralInRange<int64_t>(1, 2);
  shape.heads.heads = shape.heads.keyValueHeads * input.ConsumeIntegralInRange<int64_t>(1, 3);
  shape.heads.headDim = 2 * smallSize(input, 1, 20);
  shape.rotaryWidth = 2 * input.ConsumeIntegralInRange<int64_t>(1, shape.heads.headDim / 2);
  shape.ropeTheta = input.ConsumeBool() ? 1e4 : 5e5;
  shape.bias = input.ConsumeBool();
  shape.headNorms = input.ConsumeBool();
  shape.mask.block = input.ConsumeIntegralInRange<int32_t>(0, 5);
  return shape;
}

/** Experts of `count` and `perToken`, or a dense MLP. */
MlpShape makeMlp(Input& input, int64_t count, int64_t perToken) {
  MlpShape shape;
  shape.width = smallSize(input, 1, 40);
  if (input.ConsumeBool()) return shape;
  shape.experts = count;
  shape.expertsPerToken = perToken;
  shape.normalise = input.ConsumeBool();
  if (input.ConsumeBool()) shape.sharedWidth = smallSize(input, 1, 40);
  if (input.ConsumeBool()) return shape;
  shape.score = RouterScore::sigmoid;
  shape.selectionBias = input.ConsumeBool();
  shape.scale = 2.5f;
  // Not all of them fit together: `validate` must say so.
  if (input.ConsumeBool())
    shape.groups = {input.ConsumeIntegralInRange<int32_t>(1, 4), input.ConsumeIntegralInRange<int32_t>(1, 4)};
  return shape;
}

Architecture makeArchitecture(Input& input) {
  Architecture architecture;
  const int64_t experts = smallSize(input, 1, 6);
  const int64_t expertsPerToken = input.ConsumeIntegralInRange<int64_t>(1, experts);
  for (int layers = input.ConsumeIntegralInRange<int>(1, 2); layers > 0; --layers) {
    LayerShape layer;
    layer.attention = makeAttention(input);
    layer.mlp = makeMlp(input, experts, expertsPerToken);
    architecture.layers.push_back(layer);
  }
  architecture.hidden = smallSize(input, 1, 70);
  architecture.vocabulary = smallSize(input, 2, 100);
  architecture.maxPositions = 64;
  architecture.rmsNormEpsilon = 1e-6f;
  architecture.tiedHead = input.ConsumeBool();
  architecture.prediction = {input.ConsumeIntegralInRange<int32_t>(0, 1), input.ConsumeBool()};
  return architecture;
}

Checkpoint makeCheckpoint(Input& input) {
  Checkpoint made;
  made.architecture = makeArchitecture(input);
  const int64_t hidden = made.architecture.hidden, vocabulary = made.architecture.vocabulary;
  constexpr DType dtypes[] = {DType::f32, DType::f16, DType::bf16, DType::q8,
                              DType::q5,  DType::q4,  DType::fp8};
  const DType dtype = input.PickValueInArray(dtypes), other = isQuantized(dtype) ? DType::bf16 : dtype;
  Writer writer(made, dtype, input);
  made.content.resize(input.ConsumeIntegralInRange<size_t>(0, 9));
  writer.unquantized("embedding", {vocabulary, hidden}, other);
  for (size_t index = 0; index < made.architecture.layers.size(); ++index) {
    const auto& [shape, mlp] = made.architecture.layers[index];
    const HeadLayout& heads = shape.heads;
    const std::string layer = "layers." + std::to_string(index) + ".";
    const std::string attention = layer + "attention.";
    writer.unquantized(attention + "norm", {hidden}, other);
    writer.unquantized(layer + "mlp.norm", {hidden}, other);
    const std::pair<const char*, int64_t> projections[] = {{"query", heads.queryColumns()},
                                                           {"key", heads.keyValueColumns()},
                                                           {"value", heads.keyValueColumns()}};
    for (const auto& [name, rows] : projections) {
      writer.matmul(attention + name, rows, hidden);
      if (shape.bias) writer.unquantized(attention + name + "Bias", {rows}, other);
    }
    writer.matmul(attention + "output", hidden, heads.queryColumns());
    if (shape.headNorms) {
      writer.unquantized(attention + "queryNorm", {heads.headDim}, other);
      writer.unquantized(attention + "keyNorm", {heads.headDim}, other);
    }
    if (mlp.experts == 0) {
      writer.mlp(layer + "mlp.", mlp.width, hidden);
      continue;
    }
    writer.unquantized(layer + "mlp.router", {mlp.experts, hidden}, other);
    if (mlp.selectionBias) writer.unquantized(layer + "mlp.selectionBias", {mlp.experts}, other);
    for (int64_t expert = 0; expert < mlp.experts; ++expert)
      writer.mlp(layer + "mlp.experts." + std::to_string(expert) + ".", mlp.width, hidden);
    if (mlp.sharedWidth > 0) writer.mlp(layer + "mlp.shared.", mlp.sharedWidth, hidden);
  }
  writer.unquantized("norm", {hidden}, other);
  if (!made.architecture.tiedHead) writer.matmul("head", vocabulary, hidden);
  return made;
}

void bendArchitecture(Architecture& architecture, Input& input) {
  auto& [attention, mlp] = architecture.layers.back();
  int64_t* sizes[] = {&architecture.hidden,
                      &architecture.vocabulary,
                      &architecture.maxPositions,
                      &attention.heads.heads,
                      &attention.heads.keyValueHeads,
                      &attention.heads.headDim,
                      &attention.rotaryWidth,
                      &mlp.width,
                      &mlp.experts,
                      &mlp.expertsPerToken,
                      &mlp.sharedWidth};
  switch (input.ConsumeIntegralInRange<int>(0, 3)) {
    case 0:
      architecture.layers.resize(input.ConsumeIntegralInRange<size_t>(0, 3));
      break;
    case 1:
      mlp.groups = {static_cast<int32_t>(anySize(input)), static_cast<int32_t>(anySize(input))};
      break;
    default:
      *input.PickValueInArray(sizes) = anySize(input);
  }
}

DType anyQuantized(Input& input) {
  constexpr DType dtypes[] = {DType::q8, DType::q5, DType::q4, DType::fp8};
  return input.PickValueInArray(dtypes);
}

void bendTensor(Checkpoint& checkpoint, Input& input) {
  const size_t index = input.ConsumeIntegralInRange<size_t>(0, checkpoint.roles.size() - 1);
  TensorLocation& tensor = checkpoint.manifest.tensors[checkpoint.roles[index]];
  constexpr DType dtypes[] = {DType::f32, DType::f16, DType::bf16, DType::q8,
                              DType::q5,  DType::q4,  DType::fp8};
  switch (input.ConsumeIntegralInRange<int>(0, 11)) {
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
    case 8:
      tensor.blocks = static_cast<BlockType>(input.ConsumeIntegralInRange<int>(0, 5));
      break;
    case 10:
      tensor.blockScales = {input.ConsumeIntegralInRange<size_t>(0, 3),
                            static_cast<uint64_t>(anySize(input))};
      break;
    case 9:
      tensor.headRows = input.ConsumeBool() ? 2 * smallSize(input, 1, 20) : anySize(input);
      tensor.quantize = Quantization{anyQuantized(input), 32};
      break;
    default:
      tensor.shape.resize(input.ConsumeIntegralInRange<size_t>(0, 4), anySize(input));
  }
}

void stepOnce(Model& model, Input& input) {
  const int64_t vocabulary = model.architecture().vocabulary;
  const auto length = input.ConsumeIntegralInRange<int32_t>(2, 40);
  std::vector<int32_t> tokens, masked, unconditional;
  for (int32_t position = 0; position < length; ++position) {
    tokens.push_back(input.ConsumeIntegralInRange<int32_t>(0, static_cast<int32_t>(vocabulary - 1)));
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
  if (input.ConsumeBool()) {
    unconditional.assign(tokens.rbegin(), tokens.rend());
    canvas.unconditional = unconditional;
    canvas.sampling.guidance = input.ConsumeFloatingPointInRange(-2.0f, 9.0f);
  }
  if (input.ConsumeBool()) canvas.shift = input.ConsumeIntegralInRange<int32_t>(0, 1);
  std::optional<AttentionMask> mask;
  if (input.ConsumeBool()) mask = AttentionMask{input.ConsumeIntegralInRange<int32_t>(0, 50)};
  const AbortFlag never;
  model.step({&canvas, 1}, never, mask);
  for (const Score& score : scores)
    if (canvas.finite && (score.token < 0 || score.token >= vocabulary)) std::abort();
}

}  // namespace

void run(Input& input) {
  Checkpoint checkpoint = makeCheckpoint(input);
  for (int bends = input.ConsumeIntegralInRange<int>(0, 3); bends > 0; --bends) {
    if (input.ConsumeIntegralInRange<int>(0, 3) == 0) {
      bendArchitecture(checkpoint.architecture, input);
    } else {
      bendTensor(checkpoint, input);
    }
  }
  Manifest& manifest = checkpoint.manifest;
  if (input.ConsumeBool())
    checkpoint.content.resize(input.ConsumeIntegralInRange<size_t>(0, checkpoint.content.size()));
  manifest.copied = input.ConsumeBool();
  if (input.ConsumeBool())
    manifest.quantize = Quantization{anyQuantized(input), input.ConsumeBool() ? 64 : 32};
  const TemporaryFile file(checkpoint.content);
  manifest.files = {file.path()};
  if (input.ConsumeBool()) manifest.files.push_back(file.path());
  const DType computeDtype = unquantizedDType(input);
  const bool cut = input.ConsumeBool();
  const AbortFlag never;
  try {
    Model model(
        checkpoint.architecture, makeBackend("cpu", computeDtype, input.ConsumeIntegralInRange<int>(1, 2)),
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
