// Placement of weights and of the products of experts in device memory.
#include <cstdint>
#include <cstring>

#include "backend/cuda/cuda_backend.h"
#include "backend/cuda/quantized_layout.h"
#include "route_support.h"
#include "simulator.h"

namespace rnd1::test {
namespace {

/** All bytes of a placed weight, padding included. */
std::vector<std::byte> bytesOf(Backend& backend, const Weight& placed) {
  std::vector<std::byte> bytes(static_cast<size_t>(placed.bytes()));
  backend.synchronize();
  backend.download(bytes.data(), placed.data, bytes.size());
  backend.synchronize();
  return bytes;
}

void expectRows(const std::vector<std::byte>& actual, const Weight& placed, const Weight& mapped,
                const std::string& what) {
  const auto rowBytes = static_cast<size_t>(mapped.columns) * dtypeSize(mapped.dtype);
  bool same = true;
  for (int64_t row = 0; row < mapped.rows; ++row) {
    const std::byte* begin = actual.data() + row * placed.strideBytes;
    same = same && std::memcmp(begin, mapped.data + row * mapped.strideBytes, rowBytes) == 0;
    for (auto i = rowBytes; i < static_cast<size_t>(placed.strideBytes); ++i)
      same = same && begin[i] == std::byte{0};
  }
  expect(same, what + ": other bytes than those mapped, or padding that is not zeros");
}

void alignment() {
  cuda::CudaBackend backend(DType::bf16, 0);
  Noise noise(63);
  std::vector<HostWeight> weights;
  int64_t bytes = 0;
  for (const int64_t columns : {8, 24, 1, 129, 64})
    for (const int64_t rows : {1, 3, 40})
      weights.emplace_back(noise.matrix(rows, columns), columns == 24 ? DType::f32 : DType::bf16, 1);
  // The expected bytes are those of the files; only rows of odd lengths need more.
  for (const HostWeight& weight : weights)
    bytes += weight.mapped().rows * ((weight.mapped().columns * 4 + 15) / 16 * 16);
  backend.expectWeights(bytes, static_cast<int64_t>(weights.size()));
  const size_t before = sim::deviceBytesInUse();
  std::vector<Weight> placed;
  for (const HostWeight& weight : weights) placed.push_back(backend.place(weight.mapped()));
  expectEqual(sim::deviceBytesInUse(), before, "memory beside what was expected");
  for (size_t i = 0; i < weights.size(); ++i) {
    const Scope scope(text("weight ", i));
    expectEqual(reinterpret_cast<uintptr_t>(placed[i].data) % 256, uintptr_t{0}, "where it begins");
    expect(placed[i].strideBytes % 16 == 0, text("rows are ", placed[i].strideBytes, " bytes apart"));
    expectRows(bytesOf(backend, placed[i]), placed[i], weights[i].mapped(), "weight");
  }
}

/** Every weight of a checkpoint may end one byte after a multiple of 256. */
void paddingIsExpected() {
  cuda::CudaBackend backend(DType::f32, 0);
  constexpr int64_t count = 50, columns = 68;
  backend.expectWeights(count * columns * 4, count);
  const size_t before = sim::deviceBytesInUse();
  const HostWeight weight(Matrix(1, columns), DType::f32);
  for (int64_t i = 0; i < count; ++i) backend.place(weight.mapped());
  expectEqual(sim::deviceBytesInUse(), before, "memory beside what was expected");
}

void threads() {
  cuda::CudaBackend backend(DType::bf16, 0);
  Noise noise(64);
  // Larger than one 16 MiB buffer, with padded rows, and a weight that one thread copies.
  const HostWeight large(noise.matrix(4099, 2051), DType::bf16, 1, 6);
  const HostWeight small(noise.matrix(33, 51), DType::bf16);
  const cuda::Stream stream(0);
  for (const int count : {1, 2, 5}) {
    cuda::WeightArena arena(stream.get(), DType::bf16, count);
    for (int round = 0; round < 2; ++round)
      for (const HostWeight* weight : {&large, &small}) {
        const Weight placed = arena.place(weight->mapped());
        cudaStreamSynchronize(stream.get());
        expectRows(bytesOf(backend, placed), placed, weight->mapped(), text(count, " threads"));
      }
  }
}

/** Quantized weights, whose panels several threads write in several buffers. */
void quantizedThreads() {
  cuda::CudaBackend backend(DType::bf16, 0);
  const cuda::Stream stream(0);
  for (const DType dtype : {DType::q8, DType::q5, DType::q4, DType::fp8}) {
    const QuantizedShape shape{dtype, 4099, hasMinimums(dtype) ? 8192 : 4128, dtype == DType::q8 ? 32 : 64};
    std::vector<std::byte> data(static_cast<size_t>(shape.dataBytes()) + 1);
    for (size_t i = 0; i < data.size(); ++i) data[i] = static_cast<std::byte>(i * 2654435761u >> 13);
    std::vector<uint16_t> scales(static_cast<size_t>(shape.scaleCount()));
    for (size_t i = 0; i < scales.size(); ++i) scales[i] = static_cast<uint16_t>(i % 0x7c00);
    const Weight mapped =
        quantizedWeight(shape, data.data() + 1, scales.data(), hasMinimums(dtype) ? scales.data() : nullptr);
    std::vector<std::byte> expected(static_cast<size_t>(cuda::quantizedInTiles(mapped).bytes()));
    cuda::writeQuantizedTiles(mapped, DType::bf16, 0, shape.panels(), expected.data());
    for (const int count : {1, 3}) {
      cuda::WeightArena arena(stream.get(), DType::bf16, count);
      const Weight placed = arena.place(mapped);
      cudaStreamSynchronize(stream.get());
      std::vector<std::byte> actual(expected.size());
      backend.download(actual.data(), placed.data, actual.size());
      backend.synchronize();
      expectEqual(placed.bytes(), static_cast<int64_t>(expected.size()), "bytes");
      expect(actual == expected, text(dtypeName(dtype), ", ", count, " threads: other bytes"));
    }
  }
}

void products() {
  cuda::CudaBackend backend(DType::f32, 0);
  const int64_t rows = 5, hidden = 40, width = 24;
  Noise noise(65);
  std::vector<ExpertWeights> experts;
  const auto weight = [&](int64_t outputs, int64_t inputs) {
    return backend.place(HostWeight(noise.matrix(outputs, inputs), DType::f32).mapped());
  };
  for (int expert = 0; expert < 3; ++expert)
    experts.push_back({weight(width, hidden), weight(width, hidden), weight(hidden, width)});
  const Weight router = weight(3, hidden);
  const DeviceMatrix x(backend, noise.matrix(rows, hidden)), activated(backend, 2 * rows, width),
      out(backend, rows, hidden);
  const auto run = [&](int64_t reserved) {
    backend.reserve(limitsOf(reserved, hidden, width, 3, 2));
    DeviceDispatch dispatch(backend, rows, 3, 2);
    backend.route(x, router, {2, true, nullptr}, dispatch.view);
    backend.experts(x, experts, dispatch.view, activated, out);
    backend.synchronize();
  };
  const auto message = expectThrows<Error>([&] { run(rows - 1); }, "experts with more rows than reserved");
  expect(message.find("reserved") != std::string::npos, message);
  backend.synchronize();
  const size_t before = sim::deviceBytesInUse();
  // The longest dot product does not determine the output size of experts.
  Limits limits = limitsOf(rows, hidden, width, 3, 2);
  limits.innerColumns = 4 * hidden;
  backend.reserve(limits);
  expectEqual(sim::deviceBytesInUse() - before, static_cast<size_t>(2 * hidden * 4),
              "bytes for one more row");
  run(rows);
}

const Tests memoryTests{
    {"memory: weights begin at multiples of 256 bytes, as was counted on", alignment},
    {"memory: what is expected has room for the padding of every weight", paddingIsExpected},
    {"memory: many threads place the bytes of one", threads},
    {"memory: many threads place the tiles of a quantized weight", quantizedThreads},
    {"memory: experts have room for what they give, and for no more", products},
};

}  // namespace
}  // namespace rnd1::test
