#include "random_checkpoint.h"

#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>

#include "architecture.h"
#include "core/error.h"
#include "core/fp8.h"
#include "core/quantized.h"
#include "memory.h"

namespace rnd1::bench {
namespace {

// Coprime to row lengths, so that no two rows of a tensor are equal.
constexpr int64_t patternValues = (1 << 18) + 3;
// Values at the start of the file, for scales of norms.
constexpr int64_t onesValues = 1 << 14;
// Factor of weights that write to the residual stream, so that rows stay as different as their tokens and use
// as many experts as with a trained router.
constexpr float residualShare = 1.0f / 256;
// Bytes after the longest tensor, by which the starts of tensors vary.
constexpr int64_t slackBytes = int64_t{32} << 20;
constexpr int64_t lineBytes = 64;
constexpr int32_t quantizedGroupColumns = 64;
// Scales of the padding of the largest matrix, whose rows are filled up to 16.
constexpr int64_t slackValues = 1 << 16;

/** The dtype of what is never quantized. */
constexpr DType floatsBeside(DType weights) { return isQuantized(weights) ? DType::bf16 : weights; }

[[noreturn]] void fail(const std::string& path) {
  throw Error(ErrorCode::io, "cannot write " + path + ": " + std::strerror(errno));
}

}  // namespace

RandomCheckpoint::RandomCheckpoint(const Architecture& architecture, DType dtype) {
  addTensors(architecture, dtype);
  // Otherwise the CPU would read the same memory for all tensors.
  manifest_.copied = true;

  std::error_code missing;
  const std::filesystem::path folder = std::filesystem::temp_directory_path(missing);
  if (missing) throw Error(ErrorCode::io, "TMPDIR is not a folder: " + missing.message());
  path_ = (folder / "rnd1-bench-XXXXXX").string();
  const int descriptor = mkstemp(path_.data());
  if (descriptor < 0) fail(path_);
  file_.reset(fdopen(descriptor, "wb"));
#ifdef __linux__
  // An unlinked file disappears however this process ends.
  std::remove(path_.c_str());
  path_.clear();
  manifest_.files = {"/proc/self/fd/" + std::to_string(descriptor)};
#else
  manifest_.files = {path_};
#endif
  try {
    write(architecture.hidden, dtype, folder.string());
  } catch (...) {
    removeFile();
    throw;
  }
}

RandomCheckpoint::~RandomCheckpoint() { removeFile(); }

void RandomCheckpoint::removeFile() noexcept {
  if (!path_.empty()) std::remove(path_.c_str());
}

void RandomCheckpoint::addTensors(const Architecture& architecture, DType weights) {
  const DType floats = floatsBeside(weights);
  const auto size = static_cast<int64_t>(dtypeSize(floats));
  const int64_t hidden = architecture.hidden;
  int64_t columns = hidden, headDim = 0;
  for (const auto& [attention, mlp] : architecture.layers) {
    columns = std::max({columns, attention.heads.queryColumns(), mlp.width});
    headDim = std::max(headDim, attention.heads.headDim);
  }
  if (std::max(hidden, headDim) > onesValues)
    throw Error(ErrorCode::invalidArgument,
                "no norms of more than " + std::to_string(onesValues) + " values");
  // The largest matrices of either kind.
  const int64_t smallValues = hidden * columns, largeValues = architecture.vocabulary * hidden;
  regions_.small = onesValues * size;
  regions_.large = regions_.small + smallValues * size + slackBytes;
  regions_.end = regions_.integers = regions_.large + largeValues * size + slackBytes;
  if (isQuantized(weights)) {
    regions_.end += largeValues + slackBytes;
    for (const auto& region : {regions_.scales, regions_.minimums})
      for (int kind = 0; kind < 2; ++kind) {
        region[kind] = regions_.end;
        regions_.end += (largeValues / quantizedGroupColumns + slackValues) * 2;
      }
  }

  forEachTensor(architecture, [&](const ModelTensor& tensor) {
    const bool fp8 = weights == DType::fp8;
    const bool quantized = tensor.matmul && isQuantized(weights) && Quantization{weights}.takes(tensor.role),
               vector = tensor.shape.size() == 1;
    const int64_t region = vector                  ? 0
                           : quantized             ? regions_.integers
                           : tensor.writesResidual ? regions_.small
                                                   : regions_.large;
    TensorLocation& location = manifest_.tensors[tensor.role];
    location.name = tensor.role;
    location.dtype = quantized && !fp8 ? weights : floats;
    location.shape = tensor.shape;
    const auto index = static_cast<int64_t>(manifest_.tensors.size());
    location.offset = static_cast<uint64_t>(region + (vector ? 0 : index * 8191 * lineBytes % slackBytes));
    if (!quantized) return;
    if (fp8) {
      location.blocks = BlockType::fp8;
      location.blockScales = {0, static_cast<uint64_t>(regions_.scales[tensor.writesResidual ? 1 : 0])};
      location.quantize = Quantization{weights, 0};
      return;
    }
    location.group = quantizedGroup(tensor.shape[1], quantizedGroupColumns);
    location.scales = {0, static_cast<uint64_t>(regions_.scales[tensor.writesResidual ? 1 : 0])};
    location.minimums = {0, static_cast<uint64_t>(regions_.minimums[tensor.writesResidual ? 1 : 0])};
  });
}

void RandomCheckpoint::write(int64_t columns, DType weights, const std::string& folder) {
  const auto fill = [&](const std::vector<std::byte>& pattern, int64_t begin, int64_t end) {
    for (int64_t at = begin; at < end; at += static_cast<int64_t>(pattern.size())) {
      const size_t count = std::min(static_cast<size_t>(end - at), pattern.size());
      if (std::fwrite(pattern.data(), 1, count, file_.get()) != count)
        fail("a file of " + std::to_string(regions_.end / 1'000'000) + " MB in " + folder);
    }
  };
  const DType floats = floatsBeside(weights);
  // As large as a trained layer's, so that activations stay of the order of one.
  const float amplitude = std::sqrt(3.0f / static_cast<float>(columns));
  const auto random = [&](float amplitude) {
    return bytesOf(randomValues(patternValues, amplitude, floats), floats);
  };
  fill(bytesOf(std::vector<float>(onesValues, 1), floats), 0, regions_.small);
  fill(random(amplitude * residualShare), regions_.small, regions_.large);
  fill(random(amplitude), regions_.large, regions_.integers);
  if (isQuantized(weights)) {
    const bool fp8 = weights == DType::fp8;
    std::vector<std::byte> integers;
    for (const float value : randomValues(patternValues, 128, DType::f32))
      integers.push_back(static_cast<std::byte>(fp8 ? floatToFp8(value) : static_cast<int>(value + 128)));
    fill(integers, regions_.integers, regions_.scales[0]);
    // Integers of q8 are uniform in 0 … 255, of q5 in 0 … 31, of q4 in 0 … 15, numbers of fp8 in −128 … 128.
    const float step = 2 * amplitude / static_cast<float>(fp8 ? 256 : largestInteger(weights));
    const float minimum = -amplitude;
    const int64_t bytes = regions_.scales[1] - regions_.scales[0];
    int64_t at = regions_.scales[0];
    for (const float value : {step, step * residualShare, minimum, minimum * residualShare}) {
      fill(bytesOf(std::vector<float>(1024, value), fp8 ? DType::f32 : DType::f16), at, at + bytes);
      at += bytes;
    }
  }
  if (std::fflush(file_.get()) != 0) fail("a file in " + folder);
}

}  // namespace rnd1::bench
