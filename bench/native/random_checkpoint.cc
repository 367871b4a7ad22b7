#include "random_checkpoint.h"

#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>

#include "core/error.h"
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

[[noreturn]] void fail(const std::string& path) {
  throw Error(ErrorCode::io, "cannot write " + path + ": " + std::strerror(errno));
}

}  // namespace

RandomCheckpoint::RandomCheckpoint(const Architecture& architecture, DType dtype) {
  const DType stored = isQuantized(dtype) ? DType::bf16 : dtype;
  addTensors(architecture, stored);
  if (isQuantized(dtype)) manifest_.quantize = Quantization{dtype, 64};
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
    write(stored, architecture.hidden, folder.string());
  } catch (...) {
    removeFile();
    throw;
  }
}

RandomCheckpoint::~RandomCheckpoint() { removeFile(); }

void RandomCheckpoint::removeFile() noexcept {
  if (!path_.empty()) std::remove(path_.c_str());
}

void RandomCheckpoint::addTensors(const Architecture& architecture, DType dtype) {
  const auto size = static_cast<int64_t>(dtypeSize(dtype));
  const int64_t hidden = architecture.hidden;
  int64_t columns = 0, headDim = 0;
  for (const auto& [attention, mlp] : architecture.layers) {
    columns = std::max({columns, attention.heads.queryColumns(), mlp.width});
    headDim = std::max(headDim, attention.heads.headDim);
  }
  const int64_t smallBegin = onesValues * size;
  smallBytes_ = hidden * columns * size + slackBytes;
  const int64_t begin = smallBegin + smallBytes_;
  int64_t longest = 0;
  const auto addAt = [&](int64_t begin, const std::string& role, const std::vector<int64_t>& shape) {
    TensorLocation location;
    location.name = role;
    location.dtype = dtype;
    location.shape = shape;
    const auto index = static_cast<int64_t>(manifest_.tensors.size());
    if (begin > 0) location.offset = static_cast<uint64_t>(begin + index * 8191 * lineBytes % slackBytes);
    longest = std::max(longest, shape[0] * shape.back() * size);
    manifest_.tensors[role] = location;
  };
  const auto add = [&](const std::string& role, const std::vector<int64_t>& shape) {
    addAt(shape.size() == 1 ? 0 : begin, role, shape);
  };
  const auto addMlp = [&](const std::string& role, int64_t width) {
    add(role + "gate", {width, hidden});
    add(role + "up", {width, hidden});
    addAt(smallBegin, role + "down", {hidden, width});
  };
  if (std::max(hidden, headDim) > onesValues)
    throw Error(ErrorCode::invalidArgument,
                "no norms of more than " + std::to_string(onesValues) + " values");
  add("embedding", {architecture.vocabulary, hidden});
  for (size_t index = 0; index < architecture.layers.size(); ++index) {
    const auto& [attention, mlp] = architecture.layers[index];
    const HeadLayout& heads = attention.heads;
    const std::string layer = "layers." + std::to_string(index) + ".";
    add(layer + "attention.norm", {hidden});
    add(layer + "attention.query", {heads.queryColumns(), hidden});
    add(layer + "attention.key", {heads.keyValueColumns(), hidden});
    add(layer + "attention.value", {heads.keyValueColumns(), hidden});
    addAt(smallBegin, layer + "attention.output", {hidden, heads.queryColumns()});
    add(layer + "attention.queryNorm", {heads.headDim});
    add(layer + "attention.keyNorm", {heads.headDim});
    add(layer + "mlp.norm", {hidden});
    add(layer + "mlp.router", {mlp.experts, hidden});
    for (int64_t number = 0; number < mlp.experts; ++number)
      addMlp(layer + "mlp.experts." + std::to_string(number) + ".", mlp.width);
  }
  add("norm", {hidden});
  add("head", {architecture.vocabulary, hidden});
  largeBytes_ = longest + slackBytes;
}

void RandomCheckpoint::write(DType dtype, int64_t columns, const std::string& folder) {
  const auto put = [&](const std::vector<std::byte>& bytes, int64_t count) {
    if (std::fwrite(bytes.data(), 1, static_cast<size_t>(count), file_.get()) != static_cast<size_t>(count))
      fail("a file of " + std::to_string((smallBytes_ + largeBytes_) / 1'000'000) + " MB in " + folder);
  };
  const std::vector<std::byte> ones = bytesOf(std::vector<float>(onesValues, 1), dtype);
  put(ones, static_cast<int64_t>(ones.size()));
  // As large as a trained layer's, so that activations stay of the order of one.
  const float amplitude = std::sqrt(3.0f / static_cast<float>(columns));
  const auto fill = [&](float amplitude, int64_t bytes) {
    const std::vector<std::byte> pattern = bytesOf(randomValues(patternValues, amplitude, dtype), dtype);
    for (int64_t left = bytes; left > 0; left -= static_cast<int64_t>(pattern.size()))
      put(pattern, std::min(left, static_cast<int64_t>(pattern.size())));
  };
  fill(amplitude * residualShare, smallBytes_);
  fill(amplitude, largeBytes_);
  if (std::fflush(file_.get()) != 0) fail("a file in " + folder);
}

}  // namespace rnd1::bench
