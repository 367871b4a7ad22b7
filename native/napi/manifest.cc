#include "napi/manifest.h"

#include <algorithm>
#include <optional>
#include <string>
#include <utility>

#include "core/fp8.h"
#include "core/quantized.h"
#include "napi/convert.h"

namespace rnd1::napi {
namespace {

int32_t readGroup(const Napi::Object& object) {
  const int64_t group = readInteger(object, "group", 32, 64);
  if (group != 32 && group != 64) throw Napi::RangeError::New(object.Env(), "group must be 32 or 64");
  return static_cast<int32_t>(group);
}

/** q8, q5 or q4 with groups, or fp8. */
Quantization readFormat(const Napi::Object& object) {
  const DType dtype = readDType(object, "dtype", {DType::q8, DType::q5, DType::q4, DType::fp8});
  if (dtype != DType::fp8) return {dtype, readGroup(object)};
  readInteger(object, "group", fp8Block, fp8Block);
  return {dtype, 0};
}

uint64_t readOffset(const Napi::Object& object, const char* name) {
  return static_cast<uint64_t>(readInteger(object, name, 0, int64_t{1} << 52));
}

FileOffset readFileOffset(const Napi::Object& tensor, const char* name) {
  const Napi::Object place = asObject(tensor.Get(name), name);
  return {static_cast<size_t>(readInteger(place, "file", 0, int64_t{1} << 31)), readOffset(place, "offset")};
}

std::optional<Quantization> readQuantization(const Napi::Object& object) {
  const Napi::Value quantize = object.Get("quantize");
  if (quantize.IsNull() || quantize.IsUndefined()) return std::nullopt;
  const Napi::Object inner = asObject(quantize, "quantize");
  return readFormat(inner);
}

BlockType readBlocks(const Napi::Object& tensor) {
  const Napi::Value blocks = tensor.Get("blocks");
  if (blocks.IsNull() || blocks.IsUndefined()) return BlockType::none;
  const std::string name = readString(tensor, "blocks");
  if (name == "Q8_0") return BlockType::q8_0;
  if (name == "Q4_0") return BlockType::q4_0;
  if (name == "Q4_K") return BlockType::q4_k;
  if (name == "Q5_0") return BlockType::q5_0;
  if (name == "Q5_K") return BlockType::q5_k;
  if (name == "Q6_K") return BlockType::q6_k;
  if (name == "F8_E4M3") return BlockType::fp8;
  throw wrongType(tensor.Env(), "blocks", "'Q8_0', 'Q4_0', 'Q4_K', 'Q5_0', 'Q5_K', 'Q6_K' or 'F8_E4M3'");
}

TensorLocation readLocation(const Napi::Object& tensor) {
  TensorLocation location;
  location.name = readString(tensor, "name");
  location.file = static_cast<size_t>(readInteger(tensor, "file", 0, int64_t{1} << 31));
  location.offset = readOffset(tensor, "offset");
  if (tensor.Has("scales")) {
    location.dtype = readDType(tensor, "dtype", {DType::q8, DType::q5, DType::q4});
    location.group = readGroup(tensor);
    location.scales = readFileOffset(tensor, "scales");
    if (hasMinimums(location.dtype)) location.minimums = readFileOffset(tensor, "minimums");
  } else {
    location.dtype = readDType(tensor, "dtype");
    location.blocks = readBlocks(tensor);
    if (location.blocks == BlockType::fp8) {
      location.blockScales = readFileOffset(tensor, "blockScales");
      location.blockScaleDtype = readDType(asObject(tensor.Get("blockScales"), "blockScales"), "dtype");
    }
    if (!tensor.Get("headRows").IsUndefined())
      location.headRows = readInteger(tensor, "headRows", 0, int64_t{1} << 31);
    location.quantize = readQuantization(tensor);
  }
  const Napi::Array shape = readArray(tensor.Get("shape"), "shape");
  for (uint32_t d = 0; d < shape.Length(); ++d)
    location.shape.push_back(asInteger(shape.Get(d), "shape", 0, int64_t{1} << 52));
  return location;
}

std::vector<std::string> readPaths(const Napi::Object& object, const char* name) {
  std::vector<std::string> paths;
  const Napi::Array files = readArray(object.Get(name), name);
  for (uint32_t i = 0; i < files.Length(); ++i) {
    const Napi::Value path = files.Get(i);
    if (!path.IsString()) throw wrongType(object.Env(), name, "an array of paths");
    paths.push_back(path.As<Napi::String>().Utf8Value());
  }
  return paths;
}

}  // namespace

Manifest readManifest(const Napi::Object& description) {
  const Napi::Env env = description.Env();
  Manifest manifest;
  manifest.files = readPaths(description, "files");
  const Napi::Array tensors = readArray(description.Get("tensors"), "tensors");
  for (uint32_t i = 0; i < tensors.Length(); ++i) {
    Napi::HandleScope scope(env);
    const Napi::Object tensor = asObject(tensors.Get(i), "tensors");
    manifest.tensors.emplace(readString(tensor, "role"), readLocation(tensor));
  }
  manifest.quantize = readQuantization(description);
  const Napi::Value copied = description.Get("copied");
  if (!copied.IsUndefined()) {
    if (!copied.IsBoolean()) throw Napi::TypeError::New(env, "copied must be a boolean");
    manifest.copied = copied.As<Napi::Boolean>().Value();
  }
  return manifest;
}

Shard readShard(const Napi::Object& description) {
  const Napi::Env env = description.Env();
  Shard shard;
  shard.sources = readPaths(description, "files");
  shard.path = readString(description, "path");
  const Napi::Array tensors = readArray(description.Get("tensors"), "tensors");
  for (uint32_t i = 0; i < tensors.Length(); ++i) {
    Napi::HandleScope scope(env);
    const Napi::Object object = asObject(tensors.Get(i), "tensors");
    ShardTensor tensor;
    tensor.source = readLocation(object);
    tensor.name = tensor.source.name;
    if (std::max(tensor.source.file, tensor.source.blockScales.file) >= shard.sources.size())
      throw Napi::RangeError::New(env, "tensor " + tensor.name + " is in a file that `files` does not list");
    tensor.data = readOffset(object, "data");
    if (isQuantized(tensor.source.dtype))
      throw Napi::RangeError::New(env, "tensor " + tensor.name + ": dtype must be f32, f16 or bf16");
    int64_t elements = 1;
    for (const int64_t size : tensor.source.shape) {
      if (size < 1 || size > (int64_t{1} << 48) / elements)
        throw Napi::RangeError::New(env, "tensor " + tensor.name + " has an impossible shape");
      elements *= size;
    }
    const Napi::Value quantized = object.Get("quantized");
    if (!quantized.IsNull() && !quantized.IsUndefined()) {
      const Napi::Object target = asObject(quantized, "quantized");
      const std::vector<int64_t>& size = tensor.source.shape;
      if (size.size() != 2) throw Napi::RangeError::New(env, "tensor " + tensor.name + " is not a matrix");
      tensor.quantized = readFormat(target).shapeOf(size[0], size[1]);
      tensor.scales = readOffset(target, "scales");
      if (hasMinimums(tensor.quantized->dtype)) tensor.minimums = readOffset(target, "minimums");
    }
    shard.tensors.push_back(std::move(tensor));
  }
  return shard;
}

}  // namespace rnd1::napi
