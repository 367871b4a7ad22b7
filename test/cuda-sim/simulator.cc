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

#include "context.h"
#include "memory.h"

namespace sim {
namespace {

constexpr size_t stackBytes = 128 << 10;
constexpr unsigned warpSize = 32;

struct Copy {
  void* destination;
  const void* source;
  size_t bytes, valid;
};

struct Warp {
  unsigned first = 0;    // fiber
  unsigned lanes = 0;    // lanes in the warp
  unsigned arrived = 0;  // at the current collective
  bool broken = false;   // a lane has returned
  const char* kind = nullptr;
  unsigned phase = 0;
  std::byte deposits[2][warpSize][collectiveBytes];
};

enum class State { ready, atBarrier, atCollective, awaiting, done };

struct Fiber {
  Index3 index;
  unsigned lane = 0;
  Warp* warp = nullptr;
  State state = State::ready;
  bool started = false;
  bool awaited = false;  // its predecessors, in an early launch
  Context resume;
  std::vector<Copy> open;
  std::vector<std::vector<Copy>> groups;
  std::unique_ptr<std::byte[]> stack;
};

/** The running block. One at a time, on one host thread. */
struct Machine {
  const std::function<void()>* kernel = nullptr;
  std::vector<std::unique_ptr<Fiber>> fibers;
  std::vector<Warp> warps;
  std::vector<Fiber*> ready;
  Fiber* current = nullptr;
  size_t alive = 0, atBarrier = 0;
  bool early = false;
  size_t toAwait = 0;  // fibers that memory of the device waits for
  Context scheduler;
  std::string failure;
  uint64_t random = 0x9e3779b97f4a7c15;
};

Machine machine;

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

[[noreturn]] void failHere(const std::string& what) {
  machine.failure = what;
  machine.failure += ", block " + describe(builtins.blockIdx);
  if (machine.current) machine.failure += ", thread " + describe(machine.current->index);
  leave();
}

/** Runs other fibers until this one is ready again. */
void suspend(State state) {
  machine.current->state = state;
  if (!SIM_MARK(machine.current->resume)) leave();
}

void makeReady(Fiber& fiber) {
  fiber.state = State::ready;
  machine.ready.push_back(&fiber);
}

void openBarrierIfComplete() {
  if (machine.alive == 0 || machine.atBarrier < machine.alive) return;
  machine.atBarrier = 0;
  for (const auto& fiber : machine.fibers)
    if (fiber->state == State::atBarrier) makeReady(*fiber);
}

/** Opens device memory to the first block of an early launch when all its fibers have awaited their
 * predecessors. */
void openMemoryIfAwaited() {
  if (machine.toAwait == 0 || --machine.toAwait > 0) return;
  denyAccess(false);
  for (const auto& fiber : machine.fibers)
    if (fiber->state == State::awaiting) makeReady(*fiber);
}

/** Fibers are reused for later blocks, since a jump is cheaper than a new context. */
void fiberMain() {
  for (;;) {
    (*machine.kernel)();
    Fiber& fiber = *machine.current;
    if (machine.early && !fiber.awaited) failHere("a thread returned without awaiting its predecessors");
    fiber.warp->broken = true;
    --machine.alive;
    openBarrierIfComplete();
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

/** Shared memory of exactly the requested size; cached, since the next launch often has the same. */
std::byte* sharedMemoryOf(size_t bytes) {
  static std::map<size_t, std::byte*> known;
  if (bytes == 0) return nullptr;
  std::byte*& memory = known[bytes];
  if (!memory) memory = guardedMemory(bytes);
  return memory;
}

void prepareBlock(const Launch& launch) {
  const size_t threads = size_t{launch.block.x} * launch.block.y * launch.block.z;
  while (machine.fibers.size() < threads) {
    machine.fibers.push_back(std::make_unique<Fiber>());
    machine.fibers.back()->stack = std::make_unique<std::byte[]>(stackBytes);
  }
  machine.warps.resize((threads + warpSize - 1) / warpSize);
  for (unsigned i = 0; i < machine.warps.size(); ++i) {
    Warp& warp = machine.warps[i];
    warp.first = i * warpSize;
    warp.lanes = warp.arrived = warp.phase = 0;
    warp.broken = false;
  }
  machine.ready.clear();
  machine.alive = threads;
  machine.atBarrier = 0;
  machine.early = launch.early;
  const Index3& block = builtins.blockIdx;
  machine.toAwait = launch.early && block.x == 0 && block.y == 0 && block.z == 0 ? threads : 0;
  denyAccess(machine.toAwait > 0);
  for (size_t i = 0; i < machine.fibers.size(); ++i) {
    Fiber& fiber = *machine.fibers[i];
    fiber.state = State::done;
    fiber.awaited = false;
    if (i >= threads) continue;
    const auto index = static_cast<unsigned>(i);
    fiber.index = {index % launch.block.x, index / launch.block.x % launch.block.y,
                   index / launch.block.x / launch.block.y};
    fiber.lane = index % warpSize;
    fiber.warp = &machine.warps[i / warpSize];
    ++fiber.warp->lanes;
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
  ++machine.atBarrier;
  machine.current->state = State::atBarrier;
  openBarrierIfComplete();
  suspend(machine.current->state);
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
  std::byte* const shared = sharedMemoryOf(launch.sharedBytes);
  machine.kernel = &kernel;
  machine.failure.clear();
  builtins.blockDim = launch.block;
  builtins.gridDim = launch.grid;
  builtins.shared = shared;
  Index3& index = builtins.blockIdx;
  for (index.z = 0; index.z < launch.grid.z; ++index.z)
    for (index.y = 0; index.y < launch.grid.y; ++index.y)
      for (index.x = 0; index.x < launch.grid.x; ++index.x) {
        // NaN everywhere: values of the previous block are gone.
        if (shared) std::memset(shared, 0xff, launch.sharedBytes);
        prepareBlock(launch);
        schedule();
        if (machine.failure.empty() && machine.alive > 0)
          machine.failure =
              "deadlock: some threads wait for others that do not come, block " + describe(index);
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
