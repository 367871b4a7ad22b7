#include <filesystem>
#include <fstream>
#include <limits>
#include <utility>

#include "backend/registry.h"
#include "core/error.h"
#include "core/quantized.h"
#include "core/sizes.h"
#include "io/mapped_file.h"
#include "tiny_model.h"

namespace rnd1::test {
namespace {

std::vector<std::byte> bytesOf(const std::string& content) {
  const auto* first = reinterpret_cast<const std::byte*>(content.data());
  return {first, first + content.size()};
}

void mapsFiles() {
  const auto content = bytesOf("odd content");
  const TemporaryFile file(content);
  MappedFile mapped(file.path());
  expectEqual(mapped.path(), file.path(), "path");
  expect(std::equal(mapped.bytes().begin(), mapped.bytes().end(), content.begin(), content.end()), "content");
  mapped.willNeed(0, content.size());
  mapped.willNeed(3, 5);
  const std::byte* address = mapped.bytes().data();
  const MappedFile moved(std::move(mapped));
  expect(moved.bytes().data() == address && moved.bytes().size() == content.size(), "moving maps again");
  expect(moved.path() == file.path(), "moving loses the path");
  // The pages remain after the name is removed.
  std::filesystem::remove(file.path());
  expect(moved.bytes()[0] == content[0], "content of a removed file");
}

void mapsEmptyFiles() {
  const TemporaryFile file(std::span<const std::byte>{});
  const MappedFile mapped(file.path());
  expectEqual(mapped.bytes().size(), size_t{0}, "size");
}

void refusesFiles() {
  const auto refuse = [](const std::string& path) {
    try {
      const MappedFile mapped(path);
      fail(path + " is mapped");
    } catch (const Error& error) {
      expect(error.code() == ErrorCode::io, "code");
      expect(std::string(error.what()).find(path) != std::string::npos, error.what());
    }
  };
  refuse("/nonexistent/model.safetensors");
  refuse(std::filesystem::temp_directory_path().string());
}

/** Loading must fail with this code and name the words. */
void expectRefused(const Architecture& architecture, const Manifest& manifest, ErrorCode code,
                   std::initializer_list<const char*> words, Location location = Location::current()) {
  const AbortFlag never;
  try {
    const Model model(
        architecture, makeCpuBackend(DType::f32, 1), manifest, [](const LoadProgress&) {}, never);
    fail("it loads", location);
  } catch (const Error& error) {
    expectEqual(std::string(errorCodeName(error.code())), errorCodeName(code), error.what(), location);
    for (const char* word : words)
      expect(std::string(error.what()).find(word) != std::string::npos,
             text("\"", error.what(), "\" does not name ", word), location);
  }
}

void refusesWeights() {
  TinyModel tiny(91);
  const std::string name = "layers.2.mlp.experts.6.down";
  const Manifest good = tiny.manifest();
  const std::string path = good.files[0];
  const auto bend = [&](const auto& change) {
    Manifest bent = good;
    change(bent, bent.tensors[name]);
    return bent;
  };
  const Architecture& architecture = tiny.architecture();
  expectRefused(architecture, bend([&](Manifest& all, TensorLocation&) { all.tensors.erase(name); }),
                ErrorCode::invalidCheckpoint, {"missing", name.c_str()});
  expectRefused(architecture,
                bend([](Manifest&, TensorLocation& tensor) { std::swap(tensor.shape[0], tensor.shape[1]); }),
                ErrorCode::invalidCheckpoint, {name.c_str(), path.c_str(), "[27, 48]", "[48, 27]"});
  expectRefused(architecture, bend([](Manifest&, TensorLocation& tensor) { tensor.shape = {48 * 27}; }),
                ErrorCode::invalidCheckpoint, {name.c_str(), path.c_str()});
  expectRefused(architecture, bend([](Manifest&, TensorLocation& tensor) { tensor.file = 1; }),
                ErrorCode::invalidCheckpoint, {name.c_str()});
  // Sizes whose product or sum overflows int64_t, also of a tensor that is not loaded.
  constexpr int64_t large = int64_t{1} << 40;
  for (const std::vector<int64_t>& shape : std::vector<std::vector<int64_t>>{
           {large, large}, {-1, 4}, {int64_t{1} << 53}, {0, large, large, large}})
    for (const DType dtype : {DType::f32, DType::q8, DType::q5, DType::q4})
      expectRefused(architecture, bend([&](Manifest& all, TensorLocation&) {
                      all.tensors["other"] = {"other", 0, 0, dtype, shape, 64};
                    }),
                    ErrorCode::invalidCheckpoint, {"other", "impossible shape"});
  const auto size = static_cast<uint64_t>(std::filesystem::file_size(path));
  // One byte too far, far after the end, and an overflow of offset plus length.
  for (const uint64_t offset : {size - 2 * 48 * 27 + 1, size + 1, ~uint64_t{0} - 10})
    expectRefused(architecture, bend([&](Manifest&, TensorLocation& tensor) { tensor.offset = offset; }),
                  ErrorCode::invalidCheckpoint, {name.c_str(), path.c_str()});
  expectRefused(architecture,
                bend([](Manifest& all, TensorLocation&) { all.files[0] = "/nonexistent/a.safetensors"; }),
                ErrorCode::io, {"/nonexistent/a.safetensors"});
}

void refusesConfigs() {
  TinyModel tiny(92);
  const Manifest manifest = tiny.manifest();
  const auto refuse = [&](const auto& change, const char* word, Location location = Location::current()) {
    Architecture architecture = tiny.architecture();
    change(architecture);
    expectRefused(architecture, manifest, ErrorCode::unsupportedModel, {word}, location);
  };
  refuse([](Architecture& a) { a.layers.clear(); }, "size");
  refuse([](Architecture& a) { a.vocabulary = -1; }, "size");
  refuse([](Architecture& a) { a.hidden = int64_t{1} << 40; }, "size");
  refuse([](Architecture& a) { a.layers[2].attention.heads.headDim = 21; }, "head dimension");
  refuse([](Architecture& a) { a.layers[1].attention.heads.keyValueHeads = 4; }, "key/value heads");
  refuse([](Architecture& a) { a.layers[0].mlp.expertsPerToken = 8; }, "experts per token");
  refuse([](Architecture& a) { a.layers[0].mlp.experts = 8; }, "same number");
  refuse([](Architecture& a) { a.layers[0].attention.ropeTheta = 0; }, "theta");
  refuse([](Architecture& a) { a.layers[0].attention.rotaryWidth = 22; }, "rotary width");
  refuse([](Architecture& a) { a.layers[0].attention.mask.block = -1; }, "block");
  refuse([](Architecture& a) { a.layers[0].mlp.selectionBias = true; }, "softmax router");
  refuse([](Architecture& a) { a.layers[1].mlp.sharedWidth = -1; }, "size");
  refuse([](Architecture& a) { a.prediction.shift = 2; }, "shift");
  refuse([](Architecture& a) { a.rmsNormEpsilon = std::nanf(""); }, "epsilon");
}

void reportsProgress() {
  for (const bool tied : {false, true}) {
    TinyModel tiny(93, {true, tied, {DType::bf16, DType::f32}});
    const Manifest manifest = tiny.manifest();
    std::vector<LoadProgress> events;
    const AbortFlag never;
    const Model model(
        tiny.architecture(), makeCpuBackend(DType::f32, 1), manifest,
        [&](const LoadProgress& progress) { events.push_back(progress); }, never);
    if (!expect(!events.empty(), "no events")) return;
    for (size_t i = 1; i < events.size(); ++i)
      expect(events[i].bytes > events[i - 1].bytes && events[i].tensors > events[i - 1].tensors,
             "it goes back");
    const LoadProgress& last = events.back();
    const auto tensors = static_cast<int64_t>(manifest.tensors.size());
    expectEqual(last.tensors, tensors, "tensors");
    expectEqual(last.totalTensors, tensors, "all tensors");
    expectEqual(last.bytes, last.totalBytes, "bytes");
    expectEqual(model.weightBytes(), last.bytes, "weight bytes");
    expectEqual(static_cast<uint64_t>(last.bytes) + 13, std::filesystem::file_size(manifest.files[0]),
                "file size");
  }
}

void loadingAborts() {
  TinyModel tiny(94);
  AbortFlag abort;
  try {
    const Model model(
        tiny.architecture(), makeCpuBackend(DType::f32, 1), tiny.manifest(),
        [&](const LoadProgress& progress) {
          if (progress.tensors >= 5) abort.abort();
        },
        abort);
    fail("it loads");
  } catch (const Error& error) {
    expect(error.code() == ErrorCode::aborted, error.what());
  }
}

void copiesWeights() {
  // If a file is quantized on loading, tensors that stay unquantized are copied.
  const std::optional<Quantization> none, bytes = Quantization{DType::q8, 32};
  for (const auto& [computeDtype, quantize] :
       {std::pair(DType::f32, none), std::pair(DType::bf16, none), std::pair(DType::bf16, bytes)}) {
    TinyModel tiny(95, {true, false, {DType::bf16, DType::f32, DType::f16}});
    const std::vector<std::vector<int32_t>> canvas{{3, 1, 4, 1, 5}};
    const AbortFlag never;
    Manifest manifest = tiny.manifest();
    manifest.quantize = quantize;
    const auto load = [&](bool copied) {
      manifest.copied = copied;
      return std::make_unique<Model>(
          tiny.architecture(), makeCpuBackend(computeDtype, 1), manifest, [](const LoadProgress&) {}, never);
    };
    const auto mapped = load(false), copied = load(true);
    expectEqual(copied->weightBytes(), mapped->weightBytes(), "weight bytes");
    const Matrix expected = forward(*mapped, canvas)[0].logits;
    // Changes of the file are visible only to those that map it.
    {
      std::fstream file(manifest.files[0], std::ios::in | std::ios::out | std::ios::binary);
      const std::string zeros(static_cast<size_t>(std::filesystem::file_size(manifest.files[0])), '\0');
      file.write(zeros.data(), static_cast<std::streamsize>(zeros.size()));
    }
    expect(forward(*copied, canvas)[0].logits.values == expected.values, "copies differ");
    expect(forward(*mapped, canvas)[0].logits.values != expected.values, "the mapped weights are copies too");
  }
}

void refusesSizes() {
  const int64_t large = int64_t{1} << 40, max = std::numeric_limits<int64_t>::max();
  const auto refuse = [](const auto& body, const char* what) { expectThrows<Error>(body, what); };
  refuse([&] { Weight(nullptr, DType::f32, large, large).bytes(); }, "rows · columns");
  refuse([&] { Weight(nullptr, DType::f32, 1, max / 2); }, "columns · 4");
  for (const DType dtype : {DType::q8, DType::q5, DType::q4})
    for (const auto& [rows, columns] :
         {std::pair(large, large), std::pair(max, int64_t{1}), std::pair(int64_t{1}, max)}) {
      const QuantizedShape shape{dtype, rows, columns, 64};
      refuse([&] { shape.dataBytes(); }, "bytes");
      refuse([&] { shape.scaleCount(); }, "scales");
      refuse([&] { quantizedWeight(shape, nullptr, nullptr, nullptr).bytes(); }, "all bytes");
    }
  expectEqual(sizeProduct(3, 5, 7), int64_t{105}, "product");
  expectEqual(sizeSum(max - 1, 1), max, "sum");
  refuse([&] { sizeProduct(3, max / 2, 1); }, "product");
  refuse([&] { sizeSum(max, 1); }, "sum");
  Noise noise(96);
  TinyModel tiny(96);
  const auto model = tiny.load(makeCpuBackend(DType::f32, 1));
  refuse([&] { model->reserve({int64_t{1} << 31, 1, false, 0}, 8, 8); }, "rows");
}

void quantizesFromFiles() {
  TinyModel tiny(97);
  Manifest manifest = tiny.manifest();
  manifest.quantize = Quantization{DType::q8, 32};
  const std::string path = manifest.files[0];
  const AbortFlag never;
  bool cut = false;
  const auto load = [&] {
    const Model model(
        tiny.architecture(), makeCpuBackend(DType::bf16, 2), manifest,
        [&](const LoadProgress& progress) {
          // Truncates during loading, after the file size was checked.
          if (!std::exchange(cut, true)) std::filesystem::resize_file(path, 3000);
          expect(progress.tensors > 0, "progress");
        },
        never);
  };
  const std::string said = expectThrows<Error>(load, "a file that is cut");
  expect(said.find(path) != std::string::npos, said);
}

const Tests weightsTests{
    {"mapped file: content, moving, removal", mapsFiles},
    {"mapped file: an empty file", mapsEmptyFiles},
    {"mapped file: what is not there or not a file", refusesFiles},
    {"weights: missing, misshapen and truncated tensors are named", refusesWeights},
    {"weights: impossible sizes are named", refusesConfigs},
    {"weights: sizes that wrap around are errors", refusesSizes},
    {"weights: a file that is cut while it is quantized is an error", quantizesFromFiles},
    {"weights: progress rises to the whole", reportsProgress},
    {"weights: loading aborts", loadingAborts},
    {"weights: copies do not need the files", copiesWeights},
};

}  // namespace
}  // namespace rnd1::test
