#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

/**
 * Simulates a GPU, to test kernel logic on machines without one: clusters of blocks run one after another,
 * every thread is a fiber, and a seeded random generator picks the next fiber wherever threads meet.
 * Asynchronous work happens as late as allowed: copies into shared memory when they are waited for, work of a
 * stream when it is synchronized. Memory is surrounded by inaccessible pages, and only kernels and copies may
 * access device memory.
 */
namespace sim {

struct Index3 {
  unsigned x = 0, y = 0, z = 0;
};

/** An error in a kernel: an access out of bounds, a deadlock, a mismatched collective. */
class Failure : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

// --- For kernels

/** Built-in variables of the running fiber: changed at every switch. */
struct Builtins {
  Index3 threadIdx, blockIdx, blockDim, gridDim;
  unsigned lane = 0;
  std::byte* shared = nullptr;
};
extern Builtins builtins;

/** __syncthreads; ignores threads that have returned. */
void barrier();

constexpr size_t collectiveBytes = 64;

/**
 * All 32 lanes of the warp deposit up to collectiveBytes and meet; lane i's deposit is at
 * result + i · collectiveBytes until the second collective after this one. `kind`: must be the same for all
 * lanes.
 */
const std::byte* collective(uint32_t mask, const char* kind, const void* data, size_t bytes);

/** griddepcontrol.wait: in a launch that may begin early, the other kernels' writes are there after it. */
void awaitPredecessors();

/** cp.async: the destination is garbage until `waitCopies` reaches the copy's group; the bytes after `valid`
 * become 0. `constant`: no kernel writes the source, so that it may be copied before `awaitPredecessors`. */
void copyAsync(void* shared, const void* global, size_t bytes, size_t valid, bool constant = false);
void commitCopies();
/** Completes all but the newest `pending` groups. */
void waitCopies(int pending);

/** bar.sync: waits for `threads` threads of the block at the barrier `number`, from 1 on. */
void namedBarrier(unsigned number, unsigned threads);

// Clusters: blocks that run together and reach each other's shared memory.

/** The rank of this block in its cluster, x first. */
unsigned clusterRank();
/** barrier.cluster: all threads of all blocks. */
void clusterBarrier();

// Barriers that count threads and bytes (mbarrier), in shared memory, by their addresses.

void initTransactions(uint64_t* barrier, unsigned threads);
/** One thread arrives; `bytes` more are expected. */
void arrive(uint64_t* barrier, size_t bytes);
/** One thread arrives at the barrier at the same place of another block. */
void arriveAt(uint64_t* barrier, unsigned rank);
/** Waits until the phase with this parity, 0 at first, is complete. */
void awaitTransactions(uint64_t* barrier, unsigned parity);

/**
 * A copy into the shared memory of every block in `ranks`, a bit each, at the place of `shared` in this
 * block, counted by the barrier at the place of `barrier`: garbage until that is waited for. `constant` as in
 * `copyAsync`.
 */
void copyBulk(void* shared, const void* global, size_t bytes, uint64_t* barrier, unsigned ranks,
              bool constant);

// --- For the host

struct Launch {
  Index3 grid, block;
  size_t sharedBytes = 0;
  bool early = false;  // may begin before the kernel before it has ended: programmatic dependent launch
  Index3 cluster = {1, 1, 1};
};

/** Runs a grid to its end. Throws Failure. In an `early` one, every thread has to await its predecessors, and
 * the first block has no access to device memory before. */
void run(const Launch& launch, const std::function<void()>& kernel);

/** Memory between inaccessible pages; its last 16 bytes end at a page boundary. */
void* allocateDevice(size_t bytes);
void releaseDevice(void* memory);
size_t deviceBytesInUse();

/** Withdraws the access to device memory that a DeviceAccess has granted, until it is granted again. */
void denyAccess(bool denied);

/** Calls `watch` with each launch instead of running it; null: runs them again. */
void watchLaunches(std::function<void(const Launch&, const void* kernel)> watch);

/** Grants access to device memory during its lifetime, to one host thread at a time. */
class DeviceAccess {
 public:
  DeviceAccess();
  ~DeviceAccess();
  DeviceAccess(const DeviceAccess&) = delete;
  DeviceAccess& operator=(const DeviceAccess&) = delete;
};

/** During its lifetime, this thread does the simulator's own work, whose allocations a GPU would not make. */
class Inside {
 public:
  Inside() { ++depth; }
  ~Inside() { --depth; }
  Inside(const Inside&) = delete;
  Inside& operator=(const Inside&) = delete;
  static bool here() { return depth > 0; }

 private:
  static thread_local int depth;
};

/** A fault in kernels: wrong products, or threads that wait at a barrier forever. */
enum class Fault { none, wrong, hang };

/** Sets the fault of all later kernels, to check that tests and their runners detect it. */
void plant(Fault fault);
Fault planted();

/** Sets the seed of the fibers' order from the next launch on. */
void setSeed(uint64_t seed);

}  // namespace sim
