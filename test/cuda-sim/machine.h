#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "context.h"
#include "simulator.h"

/** The state of the simulated GPU, which the files of the simulator share. */
namespace sim {

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

enum class State {
  ready,
  atBarrier,
  atNamedBarrier,
  atClusterBarrier,
  atTransaction,
  atCollective,
  awaiting,
  done
};

/** A running block of the cluster. */
struct Block {
  Index3 index;
  std::byte* shared = nullptr;
  size_t alive = 0, atBarrier = 0;
  std::map<unsigned, size_t> atNamed;  // waiting threads of the named barriers
};

struct Fiber {
  Index3 index;
  unsigned lane = 0;
  Warp* warp = nullptr;
  Block* block = nullptr;
  State state = State::ready;
  unsigned named = 0;                 // the barrier that it waits at
  const void* transaction = nullptr;  // the same for transaction barriers
  bool started = false;
  bool awaited = false;  // its predecessors, in an early launch
  Context resume;
  std::vector<Copy> open;
  std::vector<std::vector<Copy>> groups;
  std::unique_ptr<std::byte[]> stack;
};

/** A copy of a bulk instruction, until the barrier completes that counts its bytes. */
struct BulkCopy {
  void* destination;
  const void* source;
  size_t bytes;
};

/** mbarrier: a phase is complete when as many threads as expected have arrived, and all bytes. */
struct TransactionBarrier {
  unsigned expected = 0, pending = 0, phase = 0;
  int64_t bytes = 0;  // expected less arrived
  std::vector<BulkCopy> copies;
};

/** The running cluster of blocks, mostly of one. One at a time, on one host thread. */
struct Machine {
  const std::function<void()>* kernel = nullptr;
  std::vector<std::unique_ptr<Fiber>> fibers;
  std::vector<Warp> warps;
  std::vector<Block> blocks;  // by rank in the cluster
  std::vector<Fiber*> ready;
  Fiber* current = nullptr;
  size_t alive = 0, atClusterBarrier = 0;
  size_t sharedBytes = 0;
  std::map<const void*, TransactionBarrier> transactions;
  bool early = false;
  size_t toAwait = 0;  // fibers that memory of the device waits for
  Context scheduler;
  std::string failure;
  uint64_t random = 0x9e3779b97f4a7c15;
};

extern Machine machine;

/** Ends the launch with this failure of the running thread. */
[[noreturn]] void failHere(const std::string& what);
/** Runs other fibers until this one is ready again. */
void suspend(State state);
void makeReady(Fiber& fiber);
/** Opens the barrier of the cluster if no thread is missing. */
void openClusterBarrierIfComplete();
/** Fails if bytes of a transaction barrier are missing at the end of a cluster, or nobody has waited for
 * them. */
void checkTransactions();

}  // namespace sim
