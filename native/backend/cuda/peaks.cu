// Peak rates of a GPU's memory and multiply-add units.
#include <algorithm>
#include <chrono>
#include <iterator>

#include "backend/cuda/device/mma.h"
#include "backend/cuda/device/numbers.h"
#include "backend/cuda/kernels.h"
#include "backend/cuda/launch.h"
#include "backend/cuda/memory.h"

namespace rnd1::cuda {
namespace {

constexpr int threads = 256;
constexpr int chunksPerThread = 4;  // of 16 bytes, in flight together
constexpr int sums = 8;             // independent products of a warp: more than the pipeline depth
constexpr int scalarSums = 16;
constexpr int blocksPerMultiprocessor = 4;
constexpr int runs = 7;
constexpr int launchesPerRun = 10;

constexpr double copiedBytes = 1 << 30;
constexpr double loopRounds = 1 << 14;

__global__ void __launch_bounds__(threads) copyKernel(const uint4* source, uint4* target, int64_t count) {
  const int64_t first = int64_t{blockIdx.x} * threads * chunksPerThread + threadIdx.x;
  uint4 chunks[chunksPerThread];
  for (int i = 0; i < chunksPerThread; ++i)
    if (first + i * threads < count) chunks[i] = source[first + i * threads];
  for (int i = 0; i < chunksPerThread; ++i)
    if (first + i * threads < count) target[first + i * threads] = chunks[i];
}

/** Each warp multiplies the same two tiles repeatedly, into independent sums. */
template <DType type>
__global__ void __launch_bounds__(threads) mmaLoopKernel(int64_t rounds, float* out) {
  const uint32_t half = pack<type>(0.5f, 0.5f);
  const FragmentA a = {{half, half, half, half}};
  const FragmentB b = {{half, half}};
  FragmentC c[sums] = {};
  for (int64_t round = 0; round < rounds; ++round)
    for (int i = 0; i < sums; ++i) multiplyAccumulate<type>(c[i], a, b);
  float total = 0;
  for (int i = 0; i < sums; ++i) total += c[i].values[0] + c[i].values[1] + c[i].values[2] + c[i].values[3];
  out[int64_t{blockIdx.x} * threads + threadIdx.x] = total;
}

__global__ void __launch_bounds__(threads)
    multiplyAddLoopKernel(int64_t rounds, float factor, float addend, float* out) {
  float values[scalarSums];
  for (int i = 0; i < scalarSums; ++i) values[i] = static_cast<float>(threadIdx.x) + static_cast<float>(i);
  for (int64_t round = 0; round < rounds; ++round)
    for (int i = 0; i < scalarSums; ++i) values[i] = fmaf(values[i], factor, addend);
  float total = 0;
  for (int i = 0; i < scalarSums; ++i) total += values[i];
  out[int64_t{blockIdx.x} * threads + threadIdx.x] = total;
}

/** Median of several runs after a warm-up, as in the benchmarks of ops. */
template <typename Launch>
double secondsPerLaunch(cudaStream_t stream, Launch&& launchOnce) {
  const auto run = [&] {
    const auto start = std::chrono::steady_clock::now();
    for (int i = 0; i < launchesPerRun; ++i) launchOnce();
    check(cudaStreamSynchronize(stream), "measuring the GPU");
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count() / launchesPerRun;
  };
  run();
  double seconds[runs];
  for (double& elapsed : seconds) elapsed = run();
  std::sort(std::begin(seconds), std::end(seconds));
  return std::max(seconds[runs / 2], 1e-9);
}

double copyRate(cudaStream_t stream, double effort) {
  size_t free = 0, total = 0;
  check(cudaMemGetInfo(&free, &total), "asking for the GPU's free memory");
  const double wanted = std::min(copiedBytes * effort, static_cast<double>(free) / 4);
  const int64_t count =
      std::max<int64_t>(static_cast<int64_t>(wanted) / static_cast<int64_t>(sizeof(uint4)), 1);
  const size_t bytes = static_cast<size_t>(count) * sizeof(uint4);
  const DeviceMemory source = allocateDevice(bytes), target = allocateDevice(bytes);
  check(cudaMemsetAsync(source.get(), 1, bytes, stream), "clearing memory of the GPU");
  const Grid grid{dim3(blocksFor(count, threads * chunksPerThread)), threads};
  const double seconds = secondsPerLaunch(stream, [&] {
    launch(stream, "measurePeaks", grid, copyKernel, static_cast<const uint4*>(source.get()),
           static_cast<uint4*>(target.get()), count);
  });
  return 2 * static_cast<double>(bytes) / seconds;
}

double matrixRate(cudaStream_t stream, DType computeDtype, int multiprocessors, double effort) {
  const int blocks = multiprocessors * blocksPerMultiprocessor;
  const int64_t rounds = std::max<int64_t>(static_cast<int64_t>(loopRounds * effort), 1);
  Scratch<float> out;
  out.reserve(int64_t{blocks} * threads);
  const Grid grid{dim3(static_cast<unsigned>(blocks)), threads};
  const double seconds = secondsPerLaunch(stream, [&] {
    if (computeDtype == DType::f32) {
      launch(stream, "measurePeaks", grid, multiplyAddLoopKernel, rounds, 0.5f, 0.5f, out.data());
    } else if (computeDtype == DType::f16) {
      launch(stream, "measurePeaks", grid, mmaLoopKernel<DType::f16>, rounds, out.data());
    } else {
      launch(stream, "measurePeaks", grid, mmaLoopKernel<DType::bf16>, rounds, out.data());
    }
  });
  const double multiplyAdds = computeDtype == DType::f32
                                  ? static_cast<double>(threads) * scalarSums
                                  : static_cast<double>(threads) / 32 * sums * 16 * 8 * 16;
  return 2 * multiplyAdds * static_cast<double>(blocks) * static_cast<double>(rounds) / seconds;
}

}  // namespace

CodeFeatures codeFeatures() {
  cudaFuncAttributes attributes;
  check(cudaFuncGetAttributes(&attributes, copyKernel), "asking for a kernel's properties");
  const int version = attributes.ptxVersion;
  return {version >= 90, version >= 90 && version < 120};
}

Peaks measurePeaks(cudaStream_t stream, DType computeDtype, int multiprocessors, double effort) {
  return {copyRate(stream, effort), matrixRate(stream, computeDtype, multiprocessors, effort)};
}

}  // namespace rnd1::cuda
