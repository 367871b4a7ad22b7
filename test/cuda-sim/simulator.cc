#include "simulator.h"

#include <signal.h>
#include <ucontext.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstring>
#include <map>
#include <memory>
#include <thread>

#include "machine.h"
#include "memory.h"

namespace sim {
namespace {}  // namespace

Machine machine;

namespace {

uint64_t nextRandom() {
  machine.random ^= machine.random << 13;
  machine.random ^= machine.random >> 7;
  machine.random ^= machine.random << 17;
  return machine.random;
}

[[noreturn]] void leave() { jump(machine.scheduler); }

std::string describe(const Index3& index) {
  char text[64];
  snprintf(text, sizeof text, "(%u, %u, %u)", index.x, index.y, index.z);
  return text;
}

}  // namespace

void failHere(const std::string& what) {
  machine.failure = what;
  machine.failure += ", block " + describe(builtins.blockIdx);
  if (machine.current) machine.failure += ", thread " + describe(machine.current->index);
  leave();
}

void suspend(State state) {
  machine.current->state = state;
  if (!SIM_MARK(machine.current->resume)) leave();
}

void makeReady(Fiber& fiber) {
  fiber.state = State::ready;
  machine.ready.push_back(&fiber);
}

namespace {

void openBarrierIfComplete(Block& block) {
  if (block.alive == 0 || block.atBarrier < block.alive) return;
  block.atBarrier = 0;
  for (const auto& fiber : machine.fibers)
    if (fiber->state == State::atBarrier && fiber->block == &block) makeReady(*fiber);
}

/** Opens device memory to the first block of an early launch when all its fibers have awaited their
 * predecessors. */
void openMemoryIfAwaited() {
  if (machine.toAwait == 0 || --machine.toAwait > 0) return;
  denyAccess(false);
  for (const auto& fiber : machine.fibers)
    if (fiber->state == State::awaiting || fiber->state == State::atTransaction) makeReady(*fiber);
}

/** Fibers are reused for later blocks, since a jump is cheaper than a new context. */
void fiberMain() {
  for (;;) {
    (*machine.kernel)();
    Fiber& fiber = *machine.current;
    if (machine.early && !fiber.awaited) failHere("a thread returned without awaiting its predecessors");
    fiber.warp->broken = true;
    --machine.alive;
    --fiber.block->alive;
    openBarrierIfComplete(*fiber.block);
    openClusterBarrierIfComplete();
    suspend(State::done);
  }
}

void onFault(int signal, siginfo_t* info, void*) {
  if (signal == SIGILL && machine.current) failHere("a misaligned access");
  if (signal != SIGILL && openTouched(info->si_addr)) return;
  if (!machine.current) {
    constexpr char message[] = "the host touched memory of the device, or none at all\n";
    [[maybe_unused]] const auto written = write(2, message, sizeof message - 1);
    _exit(139);
  }
  char text[64];
  snprintf(text, sizeof text, "access %s at %p",
           machine.toAwait > 0 ? "before predecessors were awaited" : "out of bounds", info->si_addr);
  failHere(text);
}

/** Shared memory of exactly the requested size; cached, since the next launch often has the same. `rank`: of
 * the block in its cluster. */
std::byte* sharedMemoryOf(size_t bytes, size_t rank) {
  static std::map<std::pair<size_t, size_t>, std::byte*> known;
  if (bytes == 0) return nullptr;
  std::byte*& memory = known[{bytes, rank}];
  if (!memory) memory = guardedMemory(bytes);
  return memory;
}

/** Prepares the cluster whose first block is `first`. */
void prepareCluster(const Launch& launch, const Index3& first) {
  const Index3& size = launch.cluster;
  const size_t blockThreads = size_t{launch.block.x} * launch.block.y * launch.block.z;
  const size_t blockWarps = (blockThreads + warpSize - 1) / warpSize;
  const size_t blocks = size_t{size.x} * size.y * size.z, threads = blocks * blockThreads;
  while (machine.fibers.size() < threads) {
    machine.fibers.push_back(std::make_unique<Fiber>());
    machine.fibers.back()->stack = std::make_unique<std::byte[]>(stackBytes);
  }
  machine.blocks.assign(blocks, {});
  for (size_t rank = 0; rank < blocks; ++rank) {
    Block& block = machine.blocks[rank];
    const auto at = static_cast<unsigned>(rank);
    block.index = {first.x + at % size.x, first.y + at / size.x % size.y, first.z + at / size.x / size.y};
    block.alive = blockThreads;
    block.shared = sharedMemoryOf(launch.sharedBytes, rank);
    // NaN everywhere: values of the previous block are gone.
    if (block.shared) std::memset(block.shared, 0xff, launch.sharedBytes);
  }
  machine.warps.resize(blocks * blockWarps);
  for (Warp& warp : machine.warps) {
    warp.lanes = warp.arrived = warp.phase = 0;
    warp.broken = false;
  }
  machine.ready.clear();
  machine.alive = threads;
  machine.atClusterBarrier = 0;
  machine.sharedBytes = launch.sharedBytes;
  machine.transactions.clear();
  machine.early = launch.early;
  machine.toAwait = launch.early && first.x == 0 && first.y == 0 && first.z == 0 ? threads : 0;
  denyAccess(machine.toAwait > 0);
  for (size_t i = 0; i < machine.fibers.size(); ++i) {
    Fiber& fiber = *machine.fibers[i];
    fiber.state = State::done;
    fiber.awaited = false;
    if (i >= threads) continue;
    const auto index = static_cast<unsigned>(i % blockThreads);
    fiber.block = &machine.blocks[i / blockThreads];
    fiber.index = {index % launch.block.x, index / launch.block.x % launch.block.y,
                   index / launch.block.x / launch.block.y};
    fiber.lane = index % warpSize;
    fiber.warp = &machine.warps[i / blockThreads * blockWarps + index / warpSize];
    if (fiber.warp->lanes++ == 0) fiber.warp->first = static_cast<unsigned>(i);
    fiber.open.clear();
    fiber.groups.clear();
    makeReady(fiber);
  }
}

/** Runs fibers in random order until none is ready. */
void schedule() {
  SIM_MARK(machine.scheduler);
  machine.current = nullptr;
  if (!machine.failure.empty() || machine.ready.empty()) return;
  const size_t pick = ((nextRandom() >> 32) * machine.ready.size()) >> 32;
  std::swap(machine.ready[pick], machine.ready.back());
  Fiber& fiber = *machine.ready.back();
  machine.ready.pop_back();
  machine.current = &fiber;
  builtins.threadIdx = fiber.index;
  builtins.blockIdx = fiber.block->index;
  builtins.shared = fiber.block->shared;
  builtins.lane = fiber.lane;
  if (fiber.started) jump(fiber.resume);
  fiber.started = true;
  ucontext_t start;
  getcontext(&start);
  start.uc_stack.ss_sp = fiber.stack.get();
  start.uc_stack.ss_size = stackBytes;
  start.uc_link = nullptr;
  makecontext(&start, fiberMain, 0);
  setcontext(&start);
}

}  // namespace

Builtins builtins;

void catchFaults() {
  static bool installed = false;
  if (installed) return;
  installed = true;
  struct sigaction action = {};
  action.sa_sigaction = onFault;
  action.sa_flags = SA_SIGINFO | SA_NODEFER;
  sigaction(SIGSEGV, &action, nullptr);
  sigaction(SIGBUS, &action, nullptr);
  // The compiler's check of alignment.
  sigaction(SIGILL, &action, nullptr);
}

void barrier() {
  while (planted() == Fault::hang) std::this_thread::sleep_for(std::chrono::seconds(1));
  Fiber& self = *machine.current;
  ++self.block->atBarrier;
  self.state = State::atBarrier;
  openBarrierIfComplete(*self.block);
  suspend(self.state);
}

const std::byte* collective(uint32_t mask, const char* kind, const void* data, size_t bytes) {
  Fiber& self = *machine.current;
  Warp& warp = *self.warp;
  const uint32_t all = warp.lanes == warpSize ? ~0u : (1u << warp.lanes) - 1;
  if (mask != all) failHere(std::string(kind) + ": the mask is not all lanes of the warp");
  if (warp.broken) failHere(std::string(kind) + ": a lane of the warp has returned");
  if (warp.arrived == 0) {
    warp.kind = kind;
  } else if (warp.kind != kind && std::strcmp(warp.kind, kind) != 0) {
    failHere(std::string(kind) + ": another lane of the warp is at " + warp.kind);
  }
  const unsigned phase = warp.phase;
  std::memcpy(warp.deposits[phase][self.lane], data, bytes);
  if (++warp.arrived == warp.lanes) {
    warp.arrived = 0;
    warp.phase ^= 1;
    for (unsigned lane = 0; lane < warp.lanes; ++lane) {
      Fiber& fiber = *machine.fibers[warp.first + lane];
      if (fiber.state == State::atCollective) makeReady(fiber);
    }
    makeReady(self);
    suspend(State::ready);
  } else {
    suspend(State::atCollective);
  }
  return &warp.deposits[phase][0][0];
}

void awaitPredecessors() {
  Fiber& self = *machine.current;
  if (!machine.early || self.awaited) return;
  self.awaited = true;
  if (machine.toAwait == 0) return;
  self.state = State::awaiting;
  openMemoryIfAwaited();
  suspend(self.state);
}

void copyAsync(void* shared, const void* global, size_t bytes, size_t valid, bool constant) {
  if (machine.early && !machine.current->awaited && !constant)
    failHere("cp.async of what another kernel may still write");
  if (reinterpret_cast<uintptr_t>(shared) % bytes != 0 || reinterpret_cast<uintptr_t>(global) % bytes != 0)
    failHere("cp.async: misaligned");
  std::memset(shared, 0xff, bytes);
  machine.current->open.push_back({shared, global, bytes, valid});
}

void commitCopies() {
  Fiber& self = *machine.current;
  self.groups.push_back(std::move(self.open));
  self.open.clear();
}

void waitCopies(int pending) {
  Fiber& self = *machine.current;
  while (self.groups.size() > static_cast<size_t>(pending)) {
    for (const Copy& copy : self.groups.front()) {
      std::memcpy(copy.destination, copy.source, copy.valid);
      std::memset(static_cast<std::byte*>(copy.destination) + copy.valid, 0, copy.bytes - copy.valid);
    }
    self.groups.erase(self.groups.begin());
  }
}

void run(const Launch& launch, const std::function<void()>& kernel) {
  const DeviceAccess access;
  machine.kernel = &kernel;
  machine.failure.clear();
  builtins.blockDim = launch.block;
  builtins.gridDim = launch.grid;
  Index3 index;
  for (index.z = 0; index.z < launch.grid.z; index.z += launch.cluster.z)
    for (index.y = 0; index.y < launch.grid.y; index.y += launch.cluster.y)
      for (index.x = 0; index.x < launch.grid.x; index.x += launch.cluster.x) {
        prepareCluster(launch, index);
        schedule();
        if (machine.failure.empty() && machine.alive > 0)
          machine.failure =
              "deadlock: some threads wait for others that do not come, block " + describe(index);
        if (machine.failure.empty()) checkTransactions();
        denyAccess(false);
        if (!machine.failure.empty()) {
          // They are suspended in the middle of the failed kernel.
          for (const auto& fiber : machine.fibers) fiber->started = false;
          throw Failure(machine.failure);
        }
      }
}

void setSeed(uint64_t seed) { machine.random = seed * 2 + 1; }

namespace {
Fault fault = Fault::none;
}

void plant(Fault planted) { fault = planted; }
Fault planted() { return fault; }

}  // namespace sim
