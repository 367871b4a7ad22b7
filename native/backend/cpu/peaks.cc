// Peak rates of this machine's memory and multiply-add units.
#include <algorithm>
#include <chrono>
#include <cstring>
#include <iterator>
#include <memory>

#include "backend/cpu/cpu_backend.h"
#include "backend/cpu/quantized/quantized_ops.h"

namespace rnd1::cpu {
namespace {

constexpr int runs = 7;
constexpr double copiedBytes = 256 << 20;
constexpr double loopRounds = 1 << 22;
constexpr int64_t cacheLine = 64;

double secondsSince(std::chrono::steady_clock::time_point start) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

/** Median of several runs after a warm-up, as in the benchmarks of ops. */
template <typename Job>
double medianSeconds(Job&& job) {
  job();
  double seconds[runs];
  for (double& elapsed : seconds) {
    const auto start = std::chrono::steady_clock::now();
    job();
    elapsed = secondsSince(start);
  }
  std::sort(std::begin(seconds), std::end(seconds));
  return std::max(seconds[runs / 2], 1e-9);
}

/** `whole` · `effort` in multiples of `unit`. */
int64_t share(double whole, double effort, int64_t unit) {
  return std::max<int64_t>(static_cast<int64_t>(whole * effort) / unit, 1) * unit;
}

}  // namespace

Peaks CpuBackend::measurePeaks(double effort) {
  Peaks peaks;
  const int64_t workers = threads();
  const int64_t piece = share(copiedBytes / static_cast<double>(workers), effort, cacheLine);
  const auto bytes = static_cast<size_t>(piece * workers);
  const auto free = [](void* memory) { std::free(memory); };
  const std::unique_ptr<void, decltype(free)> source(allocate(bytes), free), target(allocate(bytes), free);
  // Pages never written all map to one page of zeros.
  std::memset(source.get(), 1, bytes);
  const auto* from = static_cast<const std::byte*>(source.get());
  auto* to = static_cast<std::byte*>(target.get());
  peaks.copyBytesPerSecond =
      2 * static_cast<double>(bytes) / medianSeconds([&] {
        pool_.forEach(workers, [&](int64_t worker, int) {
          std::memcpy(to + worker * piece, from + worker * piece, static_cast<size_t>(piece));
        });
      });

  const int64_t rounds = share(loopRounds, effort, 1);
  std::vector<float> results(static_cast<size_t>(workers));
  const double seconds = medianSeconds([&] {
    pool_.forEach(workers, [&](int64_t worker, int) {
      results[static_cast<size_t>(worker)] = kernels_.multiplyAddLoop(computeDtype_, rounds);
    });
  });
  const QuantizedKernels& integers = quantizedKernels(kernels_.name);
  std::vector<int32_t> integerResults(static_cast<size_t>(workers));
  const double integerSeconds = medianSeconds([&] {
    pool_.forEach(workers, [&](int64_t worker, int) {
      integerResults[static_cast<size_t>(worker)] =
          integers.integerLoop(rounds, static_cast<int32_t>(worker));
    });
  });
  peaks.integerOperationsPerSecond =
      2 * static_cast<double>(workers * rounds * integers.integerMultiplyAdds) / integerSeconds;
  const int64_t multiplyAdds = workers * rounds * kernels_.multiplyAddsPerRound(computeDtype_);
  peaks.matrixOperationsPerSecond = 2 * static_cast<double>(multiplyAdds) / seconds;
  return peaks;
}

}  // namespace rnd1::cpu
