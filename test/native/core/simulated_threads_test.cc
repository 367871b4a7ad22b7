#include "core/simulated_threads.h"

#include <chrono>
#include <vector>

#include "backend/cpu/partition.h"
#include "core/parallel.h"
#include "harness.h"

namespace rnd1::test {
namespace {

void spin(double seconds) {
  const auto start = std::chrono::steady_clock::now();
  while (std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count() < seconds) {
  }
}

void everyItemOnAFreeThread() {
  for (const int threads : {1, 16, 32, 64}) {
    SimulatedThreads simulation;
    ThreadPool pool(threads, &simulation);
    expectEqual(pool.threads(), threads, "threads");
    std::vector<int> seen(500), used(static_cast<size_t>(threads));
    pool.forEach(500, [&](int64_t item, int thread) {
      ++seen[static_cast<size_t>(item)];
      ++used[static_cast<size_t>(thread)];
      spin(2e-6);
    });
    for (const int times : seen) expectEqual(times, 1, text(threads, " threads"));
    for (const int times : used) expect(times > 0, text("an idle one of ", threads, " threads"));
    expectEqual(simulation.jobs(), int64_t{1}, "jobs");
  }
}

void addsUpTheLongestThread() {
  SimulatedThreads simulation;
  ThreadPool pool(16, &simulation);
  // Five times as long as the others together on one thread: it decides.
  pool.forEach(16, [&](int64_t item, int) { spin(item == 3 ? 5e-3 : 1e-5); });
  expect(simulation.parallelSeconds() >= 5e-3, text("parallel ", simulation.parallelSeconds()));
  expect(simulation.serialSeconds() >= 5e-3 + 15e-5, text("serial ", simulation.serialSeconds()));
  expect(simulation.parallelSeconds() < simulation.serialSeconds(), "nothing at once");
  simulation.reset();
  expectEqual(simulation.serialSeconds() + simulation.parallelSeconds(), 0.0, "after reset");
}

/** Rounds of the parts, in tiles. */
int64_t tilesInTurn(int64_t count, int64_t threads, int64_t part) {
  return cpu::blocksOf(cpu::blocksOf(count, part), threads) * part / cpu::tileMultiple;
}

void partsAreShared() {
  for (const int64_t threads : {1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64, 96, 128})
    for (const int64_t count : {int64_t{1}, int64_t{13}, int64_t{64}, int64_t{2048}, int64_t{4096}}) {
      const Scope scope(text(count, " columns, ", threads, " threads"));
      const int64_t part = cpu::evenPart(count, threads, 0.25);
      expect(part > 0 && part % cpu::tileMultiple == 0, text("a part of ", part));
      const int64_t tiles = cpu::blocksOf(count, cpu::tileMultiple);
      const int64_t least = cpu::blocksOf(tiles, threads);
      // Never a round more than a thread that takes single tiles, but for an eighth.
      expect(tilesInTurn(count, threads, part) <= least + least / 8, text("a part of ", part));
    }
  expectEqual(cpu::evenPart(0, 64, 0.25), cpu::tileMultiple, "nothing to share");
}

const Tests simulatedThreadsTests{
    {"simulated threads: every item once, on the thread that is free first", everyItemOnAFreeThread},
    {"simulated threads: a job takes as long as its busiest thread", addsUpTheLongestThread},
    {"partition: parts are shared evenly by 1 to 128 threads", partsAreShared},
};

}  // namespace
}  // namespace rnd1::test
