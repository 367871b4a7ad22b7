#include "model/weights.h"

#include <algorithm>

#include "core/error.h"
#include "core/quantized.h"
#include "model/quantize.h"

namespace rnd1 {
namespace {

/** Of a tensor; no disk holds as many. */
constexpr int64_t mostElements = int64_t{1} << 52;

std::string describe(const std::vector<int64_t>& shape) {
  std::string text = "[";
  for (size_t i = 0; i < shape.size(); ++i) text += (i ? ", " : "") + std::to_string(shape[i]);
  return text + "]";
}

/** Whether all that follows from these sizes, with scales and padding, fits into an int64_t. */
bool isPossible(const std::vector<int64_t>& shape) {
  int64_t elements = 1;
  for (const int64_t size : shape) {
    if (size < 0 || size > mostElements / elements) return false;
    elements *= std::max<int64_t>(size, 1);
  }
  return true;
}

/** Finds tensors by name, checks them, and hands their bytes, mapped or copied, to the backend. */
class Loader {
 public:
  Loader(const Manifest& manifest, std::vector<std::optional<MappedFile>>& mapped, Backend& backend,
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
    for (const auto& [name, location] : manifest.tensors) {
      if (!isPossible(location.shape))
        throw Error(ErrorCode::invalidCheckpoint,
                    "tensor " + name + " has the impossible shape " + describe(location.shape));
      if (isQuantized(location.dtype) && location.group != 32 && location.group != 64)
        throw Error(ErrorCode::invalidCheckpoint,
                    "tensor " + name + " has groups of " + std::to_string(location.group) + ", not 64 or 32");
      progress_.totalBytes = sizeSum(progress_.totalBytes, view(location).bytes());
    }
    if (manifest.quantize) pool_.emplace(backend.threads());
    backend.expectWeights(progress_.totalBytes, totalTensors);
    // A GPU copies anyway.
    if (manifest.copied && backend.device() == "cpu")
      copies_.emplace(backend, files_, progress_.totalBytes, !manifest.quantize, owned, abort);
  }

  /** A weight that is always wide. */
  Weight load(const std::string& name, const std::vector<int64_t>& shape) {
    const TensorLocation& location = find(name, shape);
    if (isQuantized(location.dtype))
      throw Error(ErrorCode::invalidCheckpoint, files_[location.file].path() + ": tensor " + name +
                                                    " is quantized, which only products may be");
    const Weight weight = locate(name, location, copies_.has_value());
    const Weight placed = backend_.place(weight);
    advance(weight.bytes(), placed.bytes());
    return placed;
  }

  /** The weight of a product, which may be quantized. */
  Weight product(const std::string& name, const std::vector<int64_t>& shape) {
    const TensorLocation& location = find(name, shape);
    const bool quantizes = manifest_.quantize && !isQuantized(location.dtype);
    const Weight weight = quantizes ? quantized(name, location) : locate(name, location, copies_.has_value());
    const Weight placed = backend_.place(weight);
    advance(view(location).bytes(), placed.bytes());
    return placed;
  }

  /** Of all weights, as they are in memory. */
  int64_t bytes() const { return bytes_; }

 private:
  /** Without memory; minimums that are not null stand for some. */
  static Weight view(const TensorLocation& location) {
    const std::vector<int64_t>& shape = location.shape;
    const int64_t rows = shape.size() == 2 ? shape[0] : 1;
    const int64_t columns = shape.empty() ? 1 : shape.back();
    if (!isQuantized(location.dtype)) return Weight(nullptr, location.dtype, rows, columns);
    static constexpr uint16_t some = 0;
    return quantizedWeight({location.dtype, rows, columns, location.group}, nullptr, nullptr,
                           hasMinimums(location.dtype) ? &some : nullptr);
  }

  const TensorLocation& find(const std::string& name, const std::vector<int64_t>& shape) const {
    abort_.throwIfAborted();
    const auto found = manifest_.tensors.find(name);
    if (found == manifest_.tensors.end())
      throw Error(ErrorCode::invalidCheckpoint, "tensor " + name + " is missing");
    const TensorLocation& location = found->second;
    for (const size_t file : {location.file, location.scales.file, location.minimums.file})
      if (file >= files_.size())
        throw Error(ErrorCode::invalidCheckpoint,
                    "tensor " + name + " is in a file that the manifest does not list");
    if (location.shape != shape)
      throw Error(ErrorCode::invalidCheckpoint, files_[location.file].path() + ": tensor " + name +
                                                    " has the shape " + describe(location.shape) +
                                                    ", expected " + describe(shape));
    return location;
  }

  /** A wide tensor, quantized while it is read: a file that is cut meanwhile is an error, as for copies. */
  Weight quantized(const std::string& name, const TensorLocation& location) {
    const Weight wide = view(location);
    const File& file = files_[location.file];
    checkInside(file, name, location.offset, wide.bytes());
    file.willNeed(location.offset, static_cast<uint64_t>(wide.bytes()));
    const Weight weight = quantize(file, location.offset, wide, *manifest_.quantize,
                                   file.path() + ": tensor " + name, backend_, *pool_, abort_);
    owned_.push_back(ownedMemory(backend_, const_cast<std::byte*>(weight.data)));
    return weight;
  }

  /** Of the file, or where a copy of them will be. */
  const std::byte* bytesAt(const std::string& name, Place place, int64_t length, bool copy) {
    const File& file = files_[place.file];
    checkInside(file, name, place.offset, length);
    if (copy) return copies_->add(place.file, place.offset, length);
    std::optional<MappedFile>& mapped = mapped_[place.file];
    if (!mapped) mapped.emplace(File(file.path(), File::Mode::read));
    // Its own size: the file may be another one by now, or a shorter one.
    const std::span<const std::byte> bytes = mapped->bytes();
    checkInside(bytes.size(), file.path(), name, place.offset, length);
    mapped->willNeed(place.offset, static_cast<size_t>(length));
    return bytes.data() + place.offset;
  }

  const uint16_t* scalesAt(const std::string& name, Place place, int64_t count, bool copy) {
    const std::byte* scales = bytesAt(name, place, count * static_cast<int64_t>(sizeof(uint16_t)), copy);
    if (place.offset % alignof(uint16_t) != 0)
      throw Error(ErrorCode::invalidCheckpoint, files_[place.file].path() + ": tensor " + name +
                                                    " begins at the odd byte " +
                                                    std::to_string(place.offset));
    return reinterpret_cast<const uint16_t*>(scales);
  }

  Weight locate(const std::string& name, const TensorLocation& location, bool copy) {
    Weight weight = view(location);
    const Place place{location.file, location.offset};
    if (!weight.quantized()) {
      weight.data = bytesAt(name, place, weight.bytes(), copy);
      return weight;
    }
    const QuantizedShape shape{weight.dtype, weight.rows, weight.columns, weight.group};
    weight.data = bytesAt(name, place, shape.dataBytes(), copy);
    weight.scales = scalesAt(name + ".scales", location.scales, shape.scaleCount(), copy);
    if (weight.minimums)
      weight.minimums = scalesAt(name + ".minimums", location.minimums, shape.scaleCount(), copy);
    return weight;
  }

  void advance(int64_t read, int64_t resident) {
    progress_.bytes += read;
    bytes_ += resident;
    ++progress_.tensors;
    if (copies_ && progress_.tensors == progress_.totalTensors) copies_->finish();
    // Enough events for a smooth bar, few enough for a model of twenty thousand tensors.
    if (progress_.tensors == progress_.totalTensors ||
        progress_.tensors * 200 / progress_.totalTensors !=
            (progress_.tensors - 1) * 200 / progress_.totalTensors)
      onProgress_(progress_);
  }

  const Manifest& manifest_;
  std::vector<std::optional<MappedFile>>& mapped_;  // by file, where weights are used in it
  std::vector<File> files_;
  Backend& backend_;
  std::vector<OwnedMemory>& owned_;
  const std::function<void(const LoadProgress&)>& onProgress_;
  const AbortFlag& abort_;
  std::optional<Copies> copies_;  // where weights are not used in the files
  std::optional<ThreadPool> pool_;
  LoadProgress progress_;
  int64_t bytes_ = 0;
};

/** Quantized weights have kernels for the CPU alone. */
void refuseQuantized(const Manifest& manifest, const Backend& backend) {
  if (backend.device() == "cpu") return;
  const auto refuse = [](DType dtype) {
    throw Error(ErrorCode::unsupportedModel,
                std::string(dtypeName(dtype)) + " weights run on the CPU only for now");
  };
  if (manifest.quantize) refuse(manifest.quantize->dtype);
  for (const auto& [name, location] : manifest.tensors)
    if (isQuantized(location.dtype)) refuse(location.dtype);
}

}  // namespace

void checkInside(uint64_t fileBytes, const std::string& path, const std::string& name, uint64_t offset,
                 int64_t length) {
  const auto bytes = static_cast<uint64_t>(length);
  if (offset <= fileBytes && bytes <= fileBytes - offset) return;
  throw Error(ErrorCode::invalidCheckpoint, path + ": tensor " + name + " ends at byte " +
                                                std::to_string(offset + bytes) + ", the file at " +
                                                std::to_string(fileBytes));
}

Weights::Weights(const Config& config, const Manifest& manifest, Backend& backend,
                 const std::function<void(const LoadProgress&)>& onProgress, const AbortFlag& abort) {
  refuseQuantized(manifest, backend);
  mapped_.resize(manifest.files.size());
  const int64_t perLayer = 9 + 3 * config.experts;
  Loader loader(manifest, mapped_, backend, config.layers * perLayer + (config.tieWordEmbeddings ? 2 : 3),
                owned_, onProgress, abort);

  const HeadLayout heads = config.headLayout();
  const int64_t hidden = config.hidden;
  embedding = loader.load("model.embed_tokens.weight", {config.vocabulary, hidden});
  // One by one, here and below: sizes that the tensors do not bear out must not take memory.
  for (int64_t index = 0; index < config.layers; ++index) {
    LayerWeights& layer = layers.emplace_back();
    const std::string prefix = "model.layers." + std::to_string(index) + ".";
    const std::string attention = prefix + "self_attn.";
    layer.inputNorm = loader.load(prefix + "input_layernorm.weight", {hidden});
    layer.queryKeyValue[0] = loader.product(attention + "q_proj.weight", {heads.queryColumns(), hidden});
    layer.queryKeyValue[1] = loader.product(attention + "k_proj.weight", {heads.keyValueColumns(), hidden});
    layer.queryKeyValue[2] = loader.product(attention + "v_proj.weight", {heads.keyValueColumns(), hidden});
    layer.attentionOutput = loader.product(attention + "o_proj.weight", {hidden, heads.queryColumns()});
    layer.queryNorm = loader.load(attention + "q_norm.weight", {config.headDim});
    layer.keyNorm = loader.load(attention + "k_norm.weight", {config.headDim});
    layer.postAttentionNorm = loader.load(prefix + "post_attention_layernorm.weight", {hidden});
    layer.router = loader.load(prefix + "mlp.gate.weight", {config.experts, hidden});
    for (int64_t number = 0; number < config.experts; ++number) {
      const std::string name = prefix + "mlp.experts." + std::to_string(number) + ".";
      ExpertWeights& expert = layer.experts.emplace_back();
      expert.gate = loader.product(name + "gate_proj.weight", {config.expertWidth, hidden});
      expert.up = loader.product(name + "up_proj.weight", {config.expertWidth, hidden});
      expert.down = loader.product(name + "down_proj.weight", {hidden, config.expertWidth});
    }
  }
  finalNorm = loader.load("model.norm.weight", {hidden});
  head = config.tieWordEmbeddings ? embedding : loader.product("lm_head.weight", {config.vocabulary, hidden});
  bytes = loader.bytes();
  checkFiles();
}

void Weights::checkFiles() const {
  for (const std::optional<MappedFile>& file : mapped_)
    if (file) file->checkIntact();
}

}  // namespace rnd1
