#include "model/blocks.h"

namespace rnd1 {
namespace {

int64_t tensorCount(const Architecture& architecture) {
  int64_t count = Head::tensors(architecture);
  for (const auto& [attention, mlp] : architecture.layers)
    count += Attention::tensors(attention) + (mlp.experts > 0 ? Experts::tensors(mlp) : 3);
  return count;
}

}  // namespace

Blocks::Blocks(const Architecture& architecture, const Manifest& manifest, Backend& backend,
               const std::function<void(const LoadProgress&)>& onProgress, const AbortFlag& abort)
    : head(backend, architecture),
      attention(backend, architecture),
      mlp(backend, architecture),
      experts(backend, architecture) {
  mapped_.resize(manifest.files.size());
  Loader loader(manifest, mapped_, backend, tensorCount(architecture), owned_, onProgress, abort);
  head.loadEmbedding(loader);
  // One by one: sizes that the tensors do not confirm must not allocate.
  for (size_t index = 0; index < architecture.layers.size(); ++index) {
    attention.load(loader);
    mlpNorms.push_back(
        loader.loadUnquantized("layers." + std::to_string(index) + ".mlp.norm", {architecture.hidden}));
    mlp.load(loader);
    experts.load(loader);
  }
  head.loadHead(loader);
  bytes = loader.bytes();
  checkFiles();
}

void Blocks::reserve(int64_t rows, int64_t length, Limits& limits) {
  attention.reserve(rows, length, limits);
  mlp.reserve(rows, limits);
  experts.reserve(rows, limits);
}

void Blocks::checkFiles() const {
  for (const std::optional<MappedFile>& file : mapped_)
    if (file) file->checkIntact();
}

}  // namespace rnd1
