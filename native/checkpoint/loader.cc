#include "checkpoint/loader.h"

#include <algorithm>
#include <thread>

#include "checkpoint/quantize.h"
#include "checkpoint/row_reader.h"
#include "core/error.h"
#include "core/failure.h"
#include "core/quantized.h"

namespace rnd1 {
namespace {

/** Elements per tensor: more than any disk holds. */
constexpr int64_t maxElements = int64_t{1} << 52;

/** Bytes that a thread decodes at a time. */
constexpr int64_t decodedBytes = int64_t{256} << 10;

std::string describe(const std::vector<int64_t>& shape) {
  std::string text = "[";
  for (size_t i = 0; i < shape.size(); ++i) text += (i ? ", " : "") + std::to_string(shape[i]);
  return text + "]";
}

/** Whether all sizes derived from the shape, with scales and padding, fit in an int64_t. */
bool isPossible(const std::vector<int64_t>& shape) {
  int64_t elements = 1;
  for (const int64_t size : shape) {
    if (size < 0 || size > maxElements / elements) return false;
    elements *= std::max<int64_t>(size, 1);
  }
  return true;
}

/** A weight without data; non-null `minimums` mean only that it has some. */
Weight view(const TensorLocation& location) {
  const std::vector<int64_t>& shape = location.shape;
  const int64_t rows = shape.size() == 2 ? shape[0] : 1;
  const int64_t columns = shape.empty() ? 1 : shape.back();
  if (!isQuantized(location.dtype)) return Weight(nullptr, location.dtype, rows, columns);
  static constexpr uint16_t some = 0;
  return quantizedWeight({location.dtype, rows, columns, location.group}, nullptr, nullptr,
                         hasMinimums(location.dtype) ? &some : nullptr);
}

/** Threads that decode and quantize. On a GPU the backend has none. */
int readingThreads(const Backend& backend) {
  if (!backend.copiesOnPlace()) return backend.threads();
  return std::max(1, static_cast<int>(std::thread::hardware_concurrency()));
}

/** Whether a tensor is loaded as the weight of a matmul that may be quantized. */
bool isMatmul(const std::string& role, const TensorLocation& location) {
  return location.shape.size() == 2 && role != "embedding" && !role.ends_with("router");
}

int64_t quantizedBytes(const TensorLocation& location, const Quantization& quantization) {
  const QuantizedShape shape = quantization.shapeOf(location.shape[0], location.shape[1]);
  TensorLocation result = location;
  result.dtype = shape.dtype;
  result.group = shape.group;
  return view(result).bytes();
}

/** Throws unless the tensor's `length` bytes from `offset` on are inside the file. */
void checkInside(uint64_t fileBytes, const std::string& path, const std::string& name, uint64_t offset,
                 int64_t length) {
  const auto bytes = static_cast<uint64_t>(length);
  if (offset <= fileBytes && bytes <= fileBytes - offset) return;
  throw Error(ErrorCode::invalidCheckpoint, path + ": tensor " + name + " ends at byte " +
                                                std::to_string(offset + bytes) + ", the file at " +
                                                std::to_string(fileBytes));
}

void checkInside(const File& file, const std::string& name, uint64_t offset, int64_t length) {
  checkInside(file.size(), file.path(), name, offset, length);
}

}  // namespace

Loader::Loader(const Manifest& manifest, std::vector<std::optional<MappedFile>>& mapped, Backend& backend,
               int64_t totalTensors, std::vector<OwnedMemory>& owned,
               const std::function<void(const LoadProgress&)>& onProgress, const AbortFlag& abort)
    : manifest_(manifest),
      mapped_(mapped),
      backend_(backend),
      owned_(owned),
      onProgress_(onProgress),
      abort_(abort) {
  progress_.totalTensors = totalTensors;
  files_.reserve(manifest.files.size());
  for (const std::string& path : manifest.files) files_.emplace_back(path, File::Mode::read);
  bool reads = manifest.quantize.has_value();
  int64_t residentBytes = 0;
  for (const auto& [role, location] : manifest.tensors) {
    const std::string& name = location.name;
    if (!isPossible(location.shape))
      throw Error(ErrorCode::invalidCheckpoint,
                  "tensor " + name + " has the impossible shape " + describe(location.shape));
    if (!isQuantized(location.dtype))
      checkStorage(location);
    else if (location.group != 32 && location.group != 64)
      throw Error(ErrorCode::invalidCheckpoint,
                  "tensor " + name + " has groups of " + std::to_string(location.group) + ", not 64 or 32");
    reads = reads || location.quantize || !location.asStored();
    const int64_t bytes = view(location).bytes();
    const Quantization* const quantization =
        isMatmul(role, location) ? quantizationOf(role, location) : nullptr;
    progress_.totalBytes = sizeSum(progress_.totalBytes, bytes);
    residentBytes = sizeSum(residentBytes, quantization ? quantizedBytes(location, *quantization) : bytes);
  }
  if (reads) pool_.emplace(readingThreads(backend));
  backend.expectWeights(residentBytes, totalTensors);
  if (manifest.copied && !backend.copiesOnPlace())
    copies_.emplace(backend, files_, progress_.totalBytes, !reads, owned, abort);
}

void Loader::require(const std::string& role, const std::vector<int64_t>& shape) const {
  findUnquantized(role, shape);
}

Weight Loader::read(const std::string& role, const std::vector<int64_t>& shape) {
  const Weight weight = source(findUnquantized(role, shape));
  advance(weight.bytes(), weight.bytes());
  return weight;
}

Weight Loader::loadUnquantized(const std::string& role, const std::vector<int64_t>& shape) {
  const Weight weight = source(findUnquantized(role, shape));
  const Weight placed = backend_.place(weight);
  advance(weight.bytes(), placed.bytes());
  return placed;
}

Weight Loader::loadMatmul(const std::string& role, const std::vector<int64_t>& shape) {
  const TensorLocation& location = find(role, shape);
  const Quantization* const quantization = quantizationOf(role, location);
  const Weight weight = quantization ? quantized(location, *quantization) : source(location);
  const Weight placed = backend_.place(weight);
  advance(view(location).bytes(), placed.bytes());
  return placed;
}

Weight Loader::loadJoined(std::span<const std::pair<std::string, int64_t>> parts) {
  std::vector<std::byte> bytes;
  int64_t columns = 0;
  const TensorLocation* first = nullptr;
  for (const auto& [role, length] : parts) {
    const TensorLocation& location = findUnquantized(role, {length});
    const File& file = files_[location.file];
    if (!first) first = &location;
    if (location.dtype != first->dtype)
      throw Error(ErrorCode::invalidCheckpoint, file.path() + ": tensors " + first->name + " and " +
                                                    location.name + " have different dtypes");
    if (!location.asStored())
      throw Error(ErrorCode::invalidCheckpoint,
                  file.path() + ": tensor " + location.name + " is in blocks, but only matrices may be");
    const int64_t partBytes = view(location).bytes();
    checkInside(file, location.name, location.offset, partBytes);
    bytes.resize(bytes.size() + static_cast<size_t>(partBytes));
    file.read(location.offset, std::span(bytes).last(static_cast<size_t>(partBytes)));
    columns += length;
    advance(partBytes, 0);
  }
  const std::byte* source = bytes.data();
  if (!backend_.copiesOnPlace()) {
    owned_.push_back(ownedMemory(backend_, backend_.allocate(bytes.size())));
    backend_.upload(owned_.back().get(), bytes.data(), bytes.size());
    source = static_cast<const std::byte*>(owned_.back().get());
  }
  const Weight placed = backend_.place(Weight(source, first->dtype, 1, columns));
  bytes_ += placed.bytes();
  return placed;
}

const TensorLocation& Loader::find(const std::string& role, const std::vector<int64_t>& shape) const {
  abort_.throwIfAborted();
  const auto found = manifest_.tensors.find(role);
  if (found == manifest_.tensors.end())
    throw Error(ErrorCode::invalidCheckpoint, "the tensor for " + role + " is missing");
  const TensorLocation& location = found->second;
  for (const size_t file :
       {location.file, location.scales.file, location.minimums.file, location.blockScales.file})
    if (file >= files_.size())
      throw Error(ErrorCode::invalidCheckpoint,
                  "tensor " + location.name + " is in a file that the manifest does not list");
  if (location.shape != shape)
    throw Error(ErrorCode::invalidCheckpoint, files_[location.file].path() + ": tensor " + location.name +
                                                  " has the shape " + describe(location.shape) +
                                                  ", expected " + describe(shape));
  return location;
}

const TensorLocation& Loader::findUnquantized(const std::string& role,
                                              const std::vector<int64_t>& shape) const {
  const TensorLocation& location = find(role, shape);
  if (isQuantized(location.dtype))
    throw Error(ErrorCode::invalidCheckpoint, files_[location.file].path() + ": tensor " + location.name +
                                                  " is quantized, but only weights of a matmul may be");
  return location;
}

Weight Loader::quantized(const TensorLocation& location, const Quantization& quantization) {
  willRead(location);
  return quantize(
      files_, location, quantization, files_[location.file].path() + ": tensor " + location.name,
      [&](int64_t size) { return memoryOf(size); }, *pool_, abort_);
}

void Loader::willRead(const TensorLocation& location) const {
  const File& file = files_[location.file];
  const int64_t bytes = storedBytes(location);
  checkInside(file, location.name, location.offset, bytes);
  file.willNeed(location.offset, static_cast<uint64_t>(bytes));
  if (location.blocks == BlockType::fp8)
    checkInside(files_[location.blockScales.file], location.name + "_scale_inv", location.blockScales.offset,
                blockScaleBytes(location));
}

const Quantization* Loader::quantizationOf(const std::string& role, const TensorLocation& location) const {
  if (isQuantized(location.dtype)) return nullptr;
  if (location.quantize) return &*location.quantize;
  const auto& all = manifest_.quantize;
  return all && all->takes(role) ? &*all : nullptr;
}

std::byte* Loader::memoryOf(int64_t bytes) {
  if (backend_.copiesOnPlace()) {
    staging_.resize(static_cast<size_t>(bytes));
    return staging_.data();
  }
  owned_.push_back(ownedMemory(backend_, backend_.allocate(static_cast<size_t>(bytes))));
  return static_cast<std::byte*>(owned_.back().get());
}

Weight Loader::decoded(const TensorLocation& location) {
  Weight weight = view(location);
  willRead(location);
  std::byte* const memory = memoryOf(weight.bytes());
  std::vector<RowReader> readers(static_cast<size_t>(pool_->threads()), RowReader(files_, location));
  const int64_t atOnce = std::max<int64_t>(1, decodedBytes / std::max<int64_t>(1, weight.strideBytes));
  Failure failure(abort_);
  pool_->forEach((weight.rows + atOnce - 1) / atOnce, [&](int64_t piece, int thread) {
    failure.guard([&] {
      const int64_t first = piece * atOnce;
      readers[static_cast<size_t>(thread)].read(first, std::min(atOnce, weight.rows - first),
                                                memory + first * weight.strideBytes);
    });
  });
  failure.rethrow();
  weight.data = memory;
  return weight;
}

Weight Loader::source(const TensorLocation& location) {
  const bool asStored = isQuantized(location.dtype) || location.asStored();
  return asStored ? locate(location, copies_.has_value()) : decoded(location);
}

const std::byte* Loader::bytesAt(const std::string& name, FileOffset from, int64_t length, bool copy) {
  const File& file = files_[from.file];
  checkInside(file, name, from.offset, length);
  if (copy) return copies_->add(from.file, from.offset, length);
  std::optional<MappedFile>& mapped = mapped_[from.file];
  if (!mapped) mapped.emplace(File(file.path(), File::Mode::read));
  // Checked again: the file may have been replaced or truncated.
  const std::span<const std::byte> bytes = mapped->bytes();
  checkInside(bytes.size(), file.path(), name, from.offset, length);
  mapped->willNeed(from.offset, static_cast<size_t>(length));
  return bytes.data() + from.offset;
}

const uint16_t* Loader::scalesAt(const std::string& name, FileOffset from, int64_t count, bool copy) {
  const std::byte* scales = bytesAt(name, from, count * static_cast<int64_t>(sizeof(uint16_t)), copy);
  if (from.offset % alignof(uint16_t) != 0)
    throw Error(ErrorCode::invalidCheckpoint, files_[from.file].path() + ": tensor " + name +
                                                  " starts at the odd byte offset " +
                                                  std::to_string(from.offset));
  return reinterpret_cast<const uint16_t*>(scales);
}

Weight Loader::locate(const TensorLocation& location, bool copy) {
  const std::string& name = location.name;
  Weight weight = view(location);
  const FileOffset from{location.file, location.offset};
  if (!weight.quantized()) {
    weight.data = bytesAt(name, from, weight.bytes(), copy);
    return weight;
  }
  const QuantizedShape shape{weight.dtype, weight.rows, weight.columns, weight.group};
  weight.data = bytesAt(name, from, shape.dataBytes(), copy);
  weight.scales = scalesAt(name + ".scales", location.scales, shape.scaleCount(), copy);
  if (weight.minimums)
    weight.minimums = scalesAt(name + ".minimums", location.minimums, shape.scaleCount(), copy);
  return weight;
}

void Loader::advance(int64_t read, int64_t resident) {
  progress_.bytes += read;
  bytes_ += resident;
  ++progress_.tensors;
  if (copies_ && progress_.tensors == progress_.totalTensors) copies_->finish();
  // 200 events: enough for a smooth progress bar, few for twenty thousand tensors.
  if (progress_.tensors == progress_.totalTensors ||
      progress_.tensors * 200 / progress_.totalTensors !=
          (progress_.tensors - 1) * 200 / progress_.totalTensors)
    onProgress_(progress_);
}

}  // namespace rnd1
