#include <cstring>
#include <fstream>
#include <iterator>

#include "tiny_model.h"

/** Weights that files do not hold as they are used. */
namespace rnd1::test {
namespace {

std::vector<std::byte> readFile(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  const std::vector<char> bytes{std::istreambuf_iterator<char>(file), {}};
  const auto* first = reinterpret_cast<const std::byte*>(bytes.data());
  return {first, first + bytes.size()};
}

/** A file that grows, and where its last tensor is. */
struct Content {
  std::vector<std::byte> bytes;

  uint64_t append(std::span<const std::byte> more) {
    const uint64_t offset = bytes.size();
    bytes.insert(bytes.end(), more.begin(), more.end());
    return offset;
  }
};

/** The rows of a tensor in the file, in the order 0, n/2, 1, n/2 + 1 … of each head of n. */
std::vector<std::byte> pairedRows(const Content& content, const TensorLocation& tensor, int64_t head) {
  const auto rowBytes = static_cast<size_t>(tensor.shape[1]) * dtypeSize(tensor.dtype);
  std::vector<std::byte> paired(static_cast<size_t>(tensor.shape[0]) * rowBytes);
  for (int64_t row = 0; row < tensor.shape[0]; ++row) {
    const int64_t inside = row % head;
    const int64_t place = row - inside + 2 * (inside % (head / 2)) + (inside < head / 2 ? 0 : 1);
    std::memcpy(paired.data() + static_cast<size_t>(place) * rowBytes,
                content.bytes.data() + tensor.offset + static_cast<size_t>(row) * rowBytes, rowBytes);
  }
  return paired;
}

void decodesRows() {
  forEachFactory([](const BackendFactory& make) {
    TinyModel tiny(97, {true, false, {DType::bf16}, [](Architecture& a) { a.hidden = 64; }});
    const DType dtype = make(1)->dtype();
    Manifest plain = tiny.manifest(), stored = plain;
    Content content{readFile(plain.files[0])};

    const std::string query = "layers.0.attention.query";
    const int64_t head = tiny.architecture().layers[0].attention.heads.headDim;
    stored.tensors[query].headRows = head;
    stored.tensors[query].offset = content.append(pairedRows(content, plain.tensors[query], head));

    // q8_0: 2^-9 times integers.
    TensorLocation& embedding = plain.tensors["embedding"];
    std::vector<std::byte> blocks, numbers;
    Noise noise(98);
    for (int64_t i = 0; i < embedding.shape[0] * embedding.shape[1]; ++i) {
      if (i % 32 == 0) {
        const uint16_t scale = floatToF16(0x1p-9f);
        const auto* bytes = reinterpret_cast<const std::byte*>(&scale);
        blocks.insert(blocks.end(), bytes, bytes + 2);
      }
      const auto integer = static_cast<int8_t>(noise.below(256) - 128);
      blocks.push_back(static_cast<std::byte>(integer));
      const float value = 0x1p-9f * static_cast<float>(integer);
      const uint16_t half = dtype == DType::bf16 ? floatToBf16(value) : floatToF16(value);
      const auto* bytes = dtype == DType::f32 ? reinterpret_cast<const std::byte*>(&value)
                                              : reinterpret_cast<const std::byte*>(&half);
      numbers.insert(numbers.end(), bytes, bytes + dtypeSize(dtype));
    }
    embedding.dtype = dtype;
    embedding.offset = content.append(numbers);
    stored.tensors["embedding"] = embedding;
    stored.tensors["embedding"].blocks = BlockType::q8_0;
    stored.tensors["embedding"].offset = content.append(blocks);

    const TemporaryFile file(content.bytes);
    const auto logitsOf = [&](Manifest manifest, int threads) {
      manifest.files = {file.path()};
      const AbortFlag never;
      Model model(
          tiny.architecture(), make(threads), manifest, [](const LoadProgress&) {}, never);
      return forward(model, {{3, 1, 4, 1, 5, 9, 2, 6}})[0].logits.values;
    };
    const std::vector<float> expected = logitsOf(plain, 1);
    for (const int threads : {1, 2}) expect(logitsOf(stored, threads) == expected, "logits");
  });
}

const DeviceTests storedRowsTests{
    {"model: rows in blocks, and rows of pairs, are decoded", decodesRows},
};

}  // namespace
}  // namespace rnd1::test
