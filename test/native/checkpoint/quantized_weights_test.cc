// Quantized weights in files: written by fillShard, mapped by Weights, or quantized while an unquantized
// model is loaded.
#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "backend/registry.h"
#include "checkpoint/quantize.h"
#include "checkpoint/row_reader.h"
#include "checkpoint/shard_writer.h"
#include "core/error.h"
#include "model_support.h"

namespace rnd1::test {
namespace {

bool isMatmul(const std::string& role) {
  for (const char* end : {"query", "key", "value", "output", "gate", "up", "down", "head"})
    if (role.ends_with(end)) return true;
  return false;
}

/** A quantized copy of a tiny model. */
struct QuantizedFile {
  Shard shard;
  Manifest manifest;
  std::optional<TemporaryFile> file;

  QuantizedFile(TinyModel& tiny, const Quantization& quantization) {
    const Manifest unquantized = tiny.manifest();
    shard.sources = unquantized.files;
    uint64_t end = 6;  // scales at even offsets, integers at any
    for (const auto& [name, source] : unquantized.tensors) {
      ShardTensor tensor{source.name, source, {}, end, 0, {}};
      TensorLocation location = source;
      location.offset = end;
      if (isMatmul(name)) {
        const QuantizedShape shape{quantization.dtype, source.shape[0], source.shape[1],
                                   quantizedGroup(source.shape[1], quantization.group)};
        tensor.quantized = shape;
        end += static_cast<uint64_t>(shape.dataBytes());
        tensor.scales = end;
        end += static_cast<uint64_t>(shape.scaleCount()) * 2;
        if (hasMinimums(shape.dtype)) {
          tensor.minimums = end;
          end += static_cast<uint64_t>(shape.scaleCount()) * 2;
        }
        location.dtype = shape.dtype;
        location.group = shape.group;
        location.scales = {0, tensor.scales};
        location.minimums = {0, tensor.minimums.value_or(0)};
      } else {
        uint64_t bytes = dtypeSize(source.dtype);
        for (const int64_t size : source.shape) bytes *= static_cast<uint64_t>(size);
        end += bytes;
      }
      shard.tensors.push_back(tensor);
      manifest.tensors[name] = location;
    }
    file.emplace(std::span<const std::byte>{});
    shard.path = file->path();
    manifest.files = {shard.path};
  }

  void fill(int threads = 2) const {
    const AbortFlag never;
    fillShard(
        shard, threads, [](const LoadProgress&) {}, never);
  }
};

std::unique_ptr<Model> loaded(const TinyModel& tiny, const Manifest& manifest,
                              std::unique_ptr<Backend> backend) {
  const AbortFlag never;
  return std::make_unique<Model>(
      tiny.architecture(), std::move(backend), manifest, [](const LoadProgress&) {}, never);
}

std::unique_ptr<Model> loaded(const TinyModel& tiny, const Manifest& manifest) {
  return loaded(tiny, manifest, makeCpuBackend(DType::f32, 2));
}

Matrix logitsOf(Model& model) {
  Noise noise(82);
  return forward(model, {randomTokens(noise, 19)})[0].logits;
}

constexpr Quantization quantizations[] = {
    {DType::q8, 64}, {DType::q5, 64}, {DType::q5, 32}, {DType::q4, 64}, {DType::q4, 32}};

/** A model from a quantized file, and from the unquantized one. */
void expectLoads(TinyModel& tiny, const Manifest& written, const Quantization& quantization,
                 const BackendFactory& make) {
  const auto mapped = loaded(tiny, written, make(2));
  Manifest unquantized = tiny.manifest();
  unquantized.quantize = quantization;
  const auto made = loaded(tiny, unquantized, make(3));
  expectEqual(mapped->weightBytes(), made->weightBytes(), "bytes");
  const Matrix logits = logitsOf(*mapped);
  expectSameBits(logits.values, logitsOf(*made).values, "quantized while loading");
  // And near the unquantized model; the tests of the kernels check the exact tolerance.
  const Matrix exact = logitsOf(*tiny.load(makeCpuBackend(DType::f32, 1)));
  double error = 0, power = 0;
  for (size_t i = 0; i < exact.values.size(); ++i) {
    error += std::pow(static_cast<double>(logits.values[i]) - exact.values[i], 2);
    power += std::pow(static_cast<double>(exact.values[i]), 2);
  }
  expect(error > 0 && error < (quantization.dtype == DType::q8 ? 0.02 : 0.3) * power,
         text("NMSE ", error / power));
}

void loadsWhatItWrites() {
  for (const Quantization& quantization : quantizations) {
    const Scope scope(text(dtypeName(quantization.dtype), ", groups of ", quantization.group));
    TinyModel tiny(81, {true, false, {DType::bf16, DType::f32, DType::f16}});
    const QuantizedFile file(tiny, quantization);
    file.fill();
    forEachFactory([&](const BackendFactory& make) { expectLoads(tiny, file.manifest, quantization, make); });
  }
}

void fillsTheSameWhateverTheThreads() {
  TinyModel tiny(83);
  const auto content = [](const std::string& path) {
    std::ifstream stream(path, std::ios::binary);
    return std::string(std::istreambuf_iterator<char>(stream), {});
  };
  const QuantizedFile one(tiny, {DType::q4, 64}), many(tiny, {DType::q4, 64});
  one.fill(1);
  many.fill(7);
  expect(content(one.shard.path) == content(many.shard.path), "the files differ");
  expect(!content(one.shard.path).empty(), "the file is empty");
}

void tiedHeadsStayUnquantized() {
  TinyModel tiny(84, {true, true, {DType::bf16}});
  Manifest unquantized = tiny.manifest();
  const auto loadedAsIs = loaded(tiny, unquantized);
  unquantized.quantize = Quantization{DType::q8, 64};
  const auto quantized = loaded(tiny, unquantized);
  expect(quantized->weightBytes() < loadedAsIs->weightBytes(), "nothing is quantized");
  expect(quantized->weightBytes() > tiny.architecture().vocabulary * tiny.architecture().hidden * 2,
         "the embedding is");
}

template <typename Body>
void expectError(Body&& body, ErrorCode code, std::initializer_list<std::string> words,
                 Location location = Location::current()) {
  try {
    body();
    fail("it is accepted", location);
  } catch (const Error& error) {
    expectEqual(std::string(errorCodeName(error.code())), errorCodeName(code), error.what(), location);
    for (const std::string& word : words)
      expect(std::string(error.what()).find(word) != std::string::npos,
             text("\"", error.what(), "\" does not name ", word), location);
  }
}

/** Loading fails, naming these words, if the location of a tensor is changed so. */
template <typename Change>
void expectRefused(const TinyModel& tiny, Manifest manifest, const std::string& name, const Change& change,
                   std::initializer_list<std::string> words, Location location) {
  change(manifest.tensors.at(name));
  expectError([&] { loaded(tiny, manifest); }, ErrorCode::invalidCheckpoint, words, location);
}

void refusesManifests() {
  TinyModel tiny(85);
  const QuantizedFile file(tiny, {DType::q4, 64});
  file.fill();
  const std::string name = "layers.1.mlp.experts.4.up", path = file.shard.path;
  const uint64_t size = std::filesystem::file_size(path);
  const auto refuse = [&](const auto& change, std::initializer_list<std::string> words,
                          Location location = Location::current()) {
    expectRefused(tiny, file.manifest, name, change, words, location);
  };
  refuse([](TensorLocation& tensor) { tensor.group = 48; }, {name, "48"});
  refuse([](TensorLocation& tensor) { tensor.group = 0; }, {name});
  refuse([](TensorLocation& tensor) { tensor.shape = {27, 64}; }, {name, path, "[27, 64]"});
  refuse([&](TensorLocation& tensor) { tensor.offset = size - 10; }, {name, path});
  refuse([&](TensorLocation& tensor) { tensor.offset = ~uint64_t{0}; }, {name, path});
  refuse([&](TensorLocation& tensor) { tensor.scales.offset = size - 10; }, {name + ".scales", path});
  refuse([&](TensorLocation& tensor) { tensor.minimums.offset = size; }, {name + ".minimums", path});
  refuse([](TensorLocation& tensor) { tensor.scales.offset |= 1; }, {name + ".scales", "odd"});
  refuse([](TensorLocation& tensor) { tensor.minimums.file = 1; }, {name});
  Manifest bent = file.manifest;
  TensorLocation& norm = bent.tensors.at("norm");
  norm.dtype = DType::q8;
  norm.group = 64;
  expectError([&] { loaded(tiny, bent); }, ErrorCode::invalidCheckpoint, {"stored/norm", path});
}

void reportsProgress() {
  TinyModel tiny(86);
  const QuantizedFile file(tiny, {DType::q8, 64});
  std::vector<LoadProgress> events;
  const AbortFlag never;
  fillShard(
      file.shard, 3, [&](const LoadProgress& progress) { events.push_back(progress); }, never);
  for (size_t i = 1; i < events.size(); ++i) expect(events[i].bytes >= events[i - 1].bytes, "it goes back");
  if (!expect(!events.empty(), "no events")) return;
  expectEqual(events.back().bytes, events.back().totalBytes, "bytes");
  expectEqual(events.back().tensors, static_cast<int64_t>(file.shard.tensors.size()), "tensors");
}

void fillingFails() {
  TinyModel tiny(87);
  const QuantizedFile file(tiny, {DType::q4, 64});
  const auto fill = [](const Shard& shard, const AbortFlag& abort = {}) {
    fillShard(
        shard, 2, [](const LoadProgress&) {}, abort);
  };
  Shard missing = file.shard;
  missing.sources = {"/nonexistent/a.safetensors"};
  expectError([&] { fill(missing); }, ErrorCode::io, {"/nonexistent/a.safetensors"});
  Shard nowhere = file.shard;
  nowhere.path = "/nonexistent/b.safetensors";
  expectError([&] { fill(nowhere); }, ErrorCode::io, {"/nonexistent/b.safetensors"});
  Shard beyond = file.shard;
  beyond.tensors[5].source.offset = std::filesystem::file_size(file.shard.sources[0]) - 3;
  expectError([&] { fill(beyond); }, ErrorCode::io, {file.shard.sources[0], "too early"});
  // A full disk: /dev/full, if it exists.
  if (std::filesystem::exists("/dev/full")) {
    Shard full = file.shard;
    full.path = "/dev/full";
    expectError([&] { fill(full); }, ErrorCode::io, {"/dev/full"});
  }
  AbortFlag aborted;
  aborted.abort();
  expectError([&] { fill(file.shard, aborted); }, ErrorCode::aborted, {});
}

void namesWhatHasNoScale() {
  TinyModel tiny(88);
  const QuantizedFile file(tiny, {DType::q8, 64});
  // NaN in the middle of one weight.
  const std::string name = "layers.2.attention.key", path = file.shard.sources[0];
  {
    std::fstream stream(path, std::ios::binary | std::ios::in | std::ios::out);
    stream.seekp(static_cast<std::streamoff>(tiny.manifest().tensors.at(name).offset + 100));
    stream.write("\xff\x7f", 2);
  }
  expectError([&] { file.fill(); }, ErrorCode::invalidCheckpoint, {name, path, "NaN", "q8"});
  Manifest unquantized = tiny.manifest();
  unquantized.quantize = Quantization{DType::q4, 64};
  expectError([&] { loaded(tiny, unquantized); }, ErrorCode::invalidCheckpoint, {name, path, "NaN", "q4"});
}

void quantizingAborts() {
  TinyModel tiny(89);
  Manifest unquantized = tiny.manifest();
  unquantized.quantize = Quantization{DType::q4, 64};
  AbortFlag abort;
  expectError(
      [&] {
        const Model model(
            tiny.architecture(), makeCpuBackend(DType::f32, 2), unquantized,
            [&](const LoadProgress& progress) {
              if (progress.tensors >= 5) abort.abort();
            },
            abort);
      },
      ErrorCode::aborted, {});
}

/** A copy of a tiny model with its matmuls, but for the head, in fp8 as FP8 checkpoints have them. */
struct Fp8File {
  Shard shard;
  Manifest manifest;
  std::optional<TemporaryFile> file;

  explicit Fp8File(TinyModel& tiny) {
    const Manifest unquantized = tiny.manifest();
    shard.sources = unquantized.files;
    uint64_t end = 4;  // scales at multiples of 4
    for (const auto& [role, source] : unquantized.tensors) {
      ShardTensor tensor{source.name, source, {}, end, 0, {}};
      TensorLocation location = source;
      location.offset = end;
      if (isMatmul(role) && fp8.takes(role)) {
        tensor.quantized = fp8.shapeOf(source.shape[0], source.shape[1]);
        location.dtype = DType::bf16;
        location.blocks = BlockType::fp8;
        end += static_cast<uint64_t>((storedBytes(location) + 3) / 4 * 4);
        tensor.scales = end;
        location.blockScales = {0, end};
        end += static_cast<uint64_t>(blockScaleBytes(location));
      } else {
        end += static_cast<uint64_t>((storedBytes(source) + 3) / 4 * 4);
      }
      shard.tensors.push_back(tensor);
      manifest.tensors[role] = location;
    }
    file.emplace(std::span<const std::byte>{});
    shard.path = file->path();
    manifest.files = {shard.path};
    const AbortFlag never;
    fillShard(
        shard, 3, [](const LoadProgress&) {}, never);
  }

  static constexpr Quantization fp8{DType::fp8, 0};

  /** The same with matmuls that stay in fp8. */
  Manifest kept() const {
    Manifest result = manifest;
    for (auto& [role, location] : result.tensors)
      if (location.blocks == BlockType::fp8) location.quantize = fp8;
    return result;
  }
};

void loadsFp8() {
  TinyModel tiny(95, {true, false, {DType::bf16, DType::f32, DType::f16}});
  const Fp8File file(tiny);
  // The values of its files are exact in bf16, whatever loads them.
  const Matrix decoded = logitsOf(*loaded(tiny, file.manifest));
  forEachFactory([&](const BackendFactory& make) {
    const auto wide = loaded(tiny, file.manifest, make(2));
    expectClose(logitsOf(*wide), DoubleMatrix(decoded), 1e-3, "decoded");
    if (!make(1)->copiesOnPlace()) return;
    const auto kept = loaded(tiny, file.kept(), make(2));
    expect(kept->weightBytes() < wide->weightBytes(), "fp8 takes fewer bytes");
    const Matrix logits = logitsOf(*kept);
    if (make(1)->dtype() == DType::bf16)
      expectSameBits(logits.values, logitsOf(*wide).values, "decoded to bf16");
    Manifest made = tiny.manifest();
    made.quantize = Fp8File::fp8;
    expectSameBits(logits.values, logitsOf(*loaded(tiny, made, make(3))).values, "quantized while loading");
    expectClose(logits, DoubleMatrix(decoded), 0.02, "decoded on the CPU");
  });
}

/** Quantized once more, from the decoded numbers. */
void quantizesFp8() {
  TinyModel tiny(96);
  Manifest again = Fp8File(tiny).manifest;
  again.quantize = Quantization{DType::q8, 64};
  const Fp8File file(tiny);
  again.files = file.manifest.files;
  const auto model = loaded(tiny, again), wide = loaded(tiny, file.manifest);
  expect(model->weightBytes() < wide->weightBytes(), "q8 takes fewer bytes");
  expectClose(logitsOf(*model), DoubleMatrix(logitsOf(*wide)), 0.02, "q8 of fp8");
}

void refusesFp8() {
  TinyModel tiny(97);
  const Fp8File file(tiny);
  const std::string name = "layers.1.mlp.experts.4.up", path = file.shard.path;
  const uint64_t size = std::filesystem::file_size(path);
  const auto refuse = [&](const auto& change, std::initializer_list<std::string> words,
                          Location location = Location::current()) {
    expectRefused(tiny, file.manifest, name, change, words, location);
  };
  refuse([&](TensorLocation& tensor) { tensor.offset = size - 10; }, {name, path});
  refuse([&](TensorLocation& tensor) { tensor.blockScales.offset = size; }, {name + "_scale_inv", path});
  refuse([](TensorLocation& tensor) { tensor.blockScales.file = 1; }, {name});
  refuse([](TensorLocation& tensor) { tensor.headRows = 4; }, {name, "fp8"});
  Shard beyond = file.shard;
  beyond.sources = {path};
  for (ShardTensor& tensor : beyond.tensors) tensor.source = file.manifest.tensors.at("norm");
  beyond.tensors[0].source = file.manifest.tensors.at(name);
  beyond.tensors[0].source.blockScales.offset = size - 2;
  const AbortFlag never;
  expectError(
      [&] {
        fillShard(
            beyond, 1, [](const LoadProgress&) {}, never);
      },
      ErrorCode::io, {path, "scales"});
}

const DeviceTests quantizedLoadingTests{
    {"quantized weights: fp8, kept and decoded and made, gives the same bits", loadsFp8},
    {"quantized weights: a written file and an unquantized one give the same bits", loadsWhatItWrites},
};

const Tests quantizedWeightsTests{
    {"quantized weights: files do not depend on threads", fillsTheSameWhateverTheThreads},
    {"quantized weights: a tied LM head stays unquantized", tiedHeadsStayUnquantized},
    {"quantized weights: bent manifests are named", refusesManifests},
    {"quantized weights: filling reports progress", reportsProgress},
    {"quantized weights: filling fails by name", fillingFails},
    {"quantized weights: NaN is named", namesWhatHasNoScale},
    {"quantized weights: quantizing aborts", quantizingAborts},
    {"quantized weights: q8 of fp8", quantizesFp8},
    {"quantized weights: bent fp8 is named", refusesFp8},
};

}  // namespace
}  // namespace rnd1::test
