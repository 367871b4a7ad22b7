#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

/**
 * A GPU in miniature, for tests of kernel logic on machines without one: blocks run one after another, every
 * thread of a block is a fiber, and which one goes on is drawn by a seeded random number wherever threads
 * meet. What is asynchronous on a GPU happens as late as it may: copies into shared memory when they are
 * waited for, work of a stream when it is synchronized. Memory is surrounded by pages that may not be
 * touched, and device memory may be touched by kernels and copies alone.
 */
namespace sim {

struct Index3 {
  unsigned x = 0, y = 0, z = 0;
};

/** What went wrong in a kernel: an access out of bounds, a deadlock, a collective that is not one. */
class Failure : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

// --- What kernels see

/** What the running fiber is and where: changed at every switch. */
struct Builtins {
  Index3 threadIdx, blockIdx, blockDim, gridDim;
  unsigned lane = 0;
  std::byte* shared = nullptr;
};
extern Builtins builtins;

/** __syncthreads: threads that have returned do not count. */
void barrier();

constexpr size_t collectiveBytes = 64;

/**
 * All 32 lanes of the warp deposit up to collectiveBytes and meet; lane i's deposit lies at
 * result + i · collectiveBytes until its second collective from here. `kind`: lanes must agree on it.
 */
const std::byte* collective(uint32_t mask, const char* kind, const void* data, size_t bytes);

/** cp.async: the destination is garbage until `waitCopies` reaches the copy's group; the rest behind `valid`
 * bytes becomes 0. */
void copyAsync(void* shared, const void* global, size_t bytes, size_t valid);
void commitCopies();
/** Takes effect but for the newest `pending` groups. */
void waitCopies(int pending);

// --- What hosts see

struct Launch {
  Index3 grid, block;
  size_t sharedBytes = 0;
};

/** Runs a grid to its end. Throws Failure. */
void run(const Launch& launch, const std::function<void()>& kernel);

/** Memory with untouchable pages around it: the end of the last 16 bytes is the end of a page. */
void* allocateDevice(size_t bytes);
void releaseDevice(void* memory);
size_t deviceBytesInUse();

/** While it lives, device memory may be touched; by one thread of the host at a time, the others wait. */
class DeviceAccess {
 public:
  DeviceAccess();
  ~DeviceAccess();
  DeviceAccess(const DeviceAccess&) = delete;
  DeviceAccess& operator=(const DeviceAccess&) = delete;
};

/** While it lives, this thread does the simulator's own work, which allocates where a GPU's driver would not.
 */
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

/** A fault of kernels: products come out wrong, or threads wait at a barrier for ever. */
enum class Fault { none, wrong, hang };

/** The fault that kernels have from now on, to see that tests and what runs them notice. */
void plant(Fault fault);
Fault planted();

/** The seed of the fibers' order from the next launch on. */
void setSeed(uint64_t seed);

}  // namespace sim
