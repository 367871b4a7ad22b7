// Clusters, and barriers that count bytes: what a missing wait would spoil must be spoilt.
#include "backend/cuda/device/cluster.h"

#include <numeric>

#include "backend/cuda/device/tensor_map.h"
#include "cuda_runtime.h"
#include "harness.h"

namespace rnd1::test {
namespace {

constexpr unsigned threads = 32, blocks = 4;
constexpr size_t floats = 64, copyBytes = floats * sizeof(float);

struct Shared {
  alignas(16) float values[floats];
  uint64_t full, empty;
};

Shared& shared() { return *reinterpret_cast<Shared*>(sim::builtins.shared); }

/** A cluster of four blocks, in many thread orders; false if the kernel has ever called `wrong`. */
void runCluster(const std::function<void()>& kernel, unsigned count = blocks) {
  for (uint64_t seed = 0; seed < 10; ++seed) {
    sim::setSeed(seed);
    sim::run({{count, 1, 1}, {threads, 1, 1}, sizeof(Shared), false, {count, 1, 1}}, kernel);
  }
}

std::string failureOf(const std::function<void()>& kernel, const char* what) {
  return expectThrows<sim::Failure>([&] { runCluster(kernel); }, what);
}

/** Device memory with 0, 1, 2 … */
struct Numbers {
  explicit Numbers(size_t count) : data(static_cast<float*>(sim::allocateDevice(count * sizeof(float)))) {
    const sim::DeviceAccess access;
    std::iota(data, data + count, 0.0f);
  }
  ~Numbers() { sim::releaseDevice(data); }
  float* data;
};

void initialise() {
  if (threadIdx.x == 0) {
    cuda::initBarrier(&shared().full, 1);
    cuda::initBarrier(&shared().empty, blocks);
  }
  cuda::syncCluster();
}

/** Whether all blocks see what each has copied a quarter of. */
bool multicasts(bool wait) {
  const Numbers given(floats);
  bool right = true;
  runCluster([&] {
    initialise();
    const size_t first = cuda::clusterRank() * floats / blocks;
    if (threadIdx.x == 0) {
      cuda::expectBytes(&shared().full, copyBytes);
      cuda::copyToCluster(shared().values + first, given.data + first, copyBytes / blocks, &shared().full,
                          0xf);
    }
    if (wait) cuda::awaitBarrier(&shared().full, 0);
    for (size_t i = 0; i < floats; ++i) right = right && shared().values[i] == static_cast<float>(i);
    cuda::awaitBarrier(&shared().full, 0);
    cuda::syncCluster();
  });
  return right;
}

void copies() {
  expect(multicasts(true), "a copy to all blocks that is waited for");
  expect(!multicasts(false), "a copy that is not waited for goes unnoticed");
}

/** Whether readers see the first of two copies into the same memory. */
bool keeps(bool waitForReaders) {
  const Numbers given(2 * floats);
  bool right = true;
  runCluster([&] {
    initialise();
    const bool copies = cuda::clusterRank() == 0 && threadIdx.x == 0;
    for (uint32_t round = 0; round < 2; ++round) {
      if (threadIdx.x == 0) cuda::expectBytes(&shared().full, copyBytes);
      if (copies) {
        if (waitForReaders && round > 0) cuda::awaitBarrier(&shared().empty, 0);
        cuda::copyToCluster(shared().values, given.data + round * floats, copyBytes, &shared().full, 0xf);
      }
      if (threadIdx.x > 1) continue;
      cuda::awaitBarrier(&shared().full, round);
      if (threadIdx.x == 0) continue;
      right = right && shared().values[9] == static_cast<float>(round * floats + 9);
      cuda::arriveAt(&shared().empty, 0);
    }
    cuda::syncCluster();
  });
  return right;
}

void reuse() {
  expect(keeps(true), "memory that is overwritten when all blocks have read it");
  bool noticed = false;
  try {
    noticed = !keeps(false);
  } catch (const sim::Failure&) {
    noticed = true;
  }
  expect(noticed, "memory that is overwritten too early goes unnoticed");
}

void mistakes() {
  const Numbers given(floats);
  const auto few = failureOf(
      [&] {
        initialise();
        if (threadIdx.x == 0) cuda::expectBytes(&shared().full, 16);
        cuda::awaitBarrier(&shared().full, 0);
      },
      "bytes that never come");
  expect(few.find("deadlock") != std::string::npos, few);
  const auto unawaited = failureOf(
      [&] {
        initialise();
        if (threadIdx.x == 0) {
          cuda::expectBytes(&shared().full, 16);
          cuda::copyToCluster(shared().values, given.data, 16, &shared().full,
                              static_cast<uint16_t>(1u << cuda::clusterRank()));
        }
      },
      "a copy that is still under way at the end");
  expect(unawaited.find("nobody has awaited") != std::string::npos, unawaited);
  const auto gone = failureOf(
      [&] {
        initialise();
        if (cuda::clusterRank() > 0) return;
        for (int i = 0; i < 2000; ++i) __syncwarp();
        if (threadIdx.x == 0) cuda::arriveAt(&shared().empty, 1);
      },
      "a block that has ended");
  expect(gone.find("has ended") != std::string::npos, gone);
  const auto unknown = failureOf(
      [&] {
        if (threadIdx.x == 0) cuda::arriveAt(&shared().empty, 0);
      },
      "a barrier that was not initialised");
  expect(unknown.find("not initialised") != std::string::npos, unknown);
}

void someThreads() {
  bool right = true;
  for (uint64_t seed = 0; seed < 10; ++seed) {
    sim::setSeed(seed);
    sim::run({{1, 1, 1}, {96, 1, 1}, 64 * sizeof(float)}, [&] {
      auto* values = reinterpret_cast<float*>(sim::builtins.shared);
      if (threadIdx.x >= 64) return;
      values[threadIdx.x] = 1;
      cuda::syncSome<1, 64>();
      right = right && values[63 - threadIdx.x] == 1;
    });
  }
  expect(right, "what some threads of a block have written before they met");
}

/** A box of a matrix, its chunks permuted, zeros beyond the edges. */
void boxes() {
  constexpr int rows = 20, columns = 72, boxRows = 16;
  auto* matrix = static_cast<uint16_t*>(sim::allocateDevice(rows * columns * sizeof(uint16_t)));
  {
    const sim::DeviceAccess access;
    for (int i = 0; i < rows * columns; ++i) matrix[i] = static_cast<uint16_t>(i);
  }
  const cuda::TensorMap map = cuda::tensorMapOf(matrix, DType::bf16, rows, columns, columns * 2, boxRows);
  constexpr size_t boxBytes = boxRows * 64 * sizeof(uint16_t);
  bool right = true;
  sim::run({{1, 1, 1}, {threads, 1, 1}, boxBytes + 1024}, [&] {
    auto* box = reinterpret_cast<uint16_t*>(sim::builtins.shared);
    auto* barrier = reinterpret_cast<uint64_t*>(sim::builtins.shared + boxBytes);
    if (threadIdx.x != 0) return;
    cuda::initBarrier(barrier, 1);
    cuda::expectBytes(barrier, boxBytes);
    cuda::copyBox<true>(box, map, 64, 8, barrier, 1);
    cuda::awaitBarrier(barrier, 0);
    for (int row = 0; row < boxRows; ++row)
      for (int column = 0; column < 64; ++column) {
        const bool inside = row + 8 < rows && column + 64 < columns;
        const int expected = inside ? (row + 8) * columns + column + 64 : 0;
        right = right && box[row * 64 + (column / 8 ^ row % 8) * 8 + column % 8] == expected;
      }
  });
  sim::releaseDevice(matrix);
  expect(right, "the box");
}

const Tests clusterTests{
    {"clusters: copies to all blocks come when they are waited for", copies},
    {"clusters: memory is used again when all blocks are done with it", reuse},
    {"clusters: what is missing or too much is an error", mistakes},
    {"clusters: barriers of some threads", someThreads},
    {"clusters: boxes of a matrix", boxes},
};

}  // namespace
}  // namespace rnd1::test
