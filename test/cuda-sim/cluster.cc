// Clusters of blocks, and barriers that count bytes.
#include <cstring>

#include "machine.h"

namespace sim {
namespace {

/** The address in another block of the cluster. */
template <typename T>
T* translated(T* shared, unsigned rank, const char* what) {
  const Block& own = *machine.current->block;
  const auto offset = reinterpret_cast<const std::byte*>(shared) - own.shared;
  if (offset < 0 || static_cast<size_t>(offset) >= machine.sharedBytes)
    failHere(std::string(what) + ": not in shared memory");
  if (rank >= machine.blocks.size()) failHere(std::string(what) + ": there is no such block in the cluster");
  const Block& block = machine.blocks[rank];
  if (block.alive == 0) failHere(std::string(what) + ": the other block has ended");
  return reinterpret_cast<T*>(block.shared + offset);
}

TransactionBarrier& transactionsAt(const void* barrier) {
  const auto found = machine.transactions.find(barrier);
  if (found == machine.transactions.end()) failHere("mbarrier: not initialised");
  return found->second;
}

/** Completes the phase if everything has arrived: copies arrive when their bytes are needed. */
void completeIfPossible(const void* address, TransactionBarrier& barrier) {
  // Before memory of the device may be read, nothing arrives.
  if (barrier.pending > 0 || machine.toAwait > 0) return;
  for (const BulkCopy& copy : barrier.copies) {
    std::memcpy(copy.destination, copy.source, copy.bytes);
    barrier.bytes -= static_cast<int64_t>(copy.bytes);
  }
  barrier.copies.clear();
  if (barrier.bytes != 0) return;
  ++barrier.phase;
  barrier.pending = barrier.expected;
  for (const auto& fiber : machine.fibers)
    if (fiber->state == State::atTransaction && fiber->transaction == address) makeReady(*fiber);
}

bool isAwaited(const void* address) {
  for (const auto& fiber : machine.fibers)
    if (fiber->state == State::atTransaction && fiber->transaction == address) return true;
  return false;
}

void arriveHere(uint64_t* address, size_t bytes) {
  TransactionBarrier& barrier = transactionsAt(address);
  // Earlier phases end late, too: when the next one begins.
  if (barrier.pending == 0) completeIfPossible(address, barrier);
  if (barrier.pending == 0) failHere("mbarrier: more threads arrive than are expected");
  barrier.bytes += static_cast<int64_t>(bytes);
  --barrier.pending;
  if (barrier.pending == 0 && (barrier.copies.empty() || isAwaited(address)))
    completeIfPossible(address, barrier);
}

}  // namespace

void namedBarrier(unsigned number, unsigned threads) {
  Fiber& self = *machine.current;
  size_t& waiting = self.block->atNamed[number];
  self.named = number;
  self.state = State::atNamedBarrier;
  if (++waiting == threads) {
    waiting = 0;
    for (const auto& fiber : machine.fibers)
      if (fiber->state == State::atNamedBarrier && fiber->block == self.block && fiber->named == number)
        makeReady(*fiber);
  }
  suspend(self.state);
}

unsigned clusterRank() { return static_cast<unsigned>(machine.current->block - machine.blocks.data()); }

void openClusterBarrierIfComplete() {
  if (machine.alive == 0 || machine.atClusterBarrier < machine.alive) return;
  machine.atClusterBarrier = 0;
  for (const auto& fiber : machine.fibers)
    if (fiber->state == State::atClusterBarrier) makeReady(*fiber);
}

void clusterBarrier() {
  Fiber& self = *machine.current;
  self.state = State::atClusterBarrier;
  ++machine.atClusterBarrier;
  openClusterBarrierIfComplete();
  suspend(self.state);
}

void initTransactions(uint64_t* barrier, unsigned threads) {
  machine.transactions[barrier] = {threads, threads, 0, 0, {}};
}

void arrive(uint64_t* barrier, size_t bytes) { arriveHere(barrier, bytes); }

void arriveAt(uint64_t* barrier, unsigned rank) {
  arriveHere(translated(barrier, rank, "mbarrier.arrive"), 0);
}

void awaitTransactions(uint64_t* address, unsigned parity) {
  TransactionBarrier& barrier = transactionsAt(address);
  while (barrier.phase % 2 == parity) {
    completeIfPossible(address, barrier);
    if (barrier.phase % 2 != parity) return;
    machine.current->transaction = address;
    suspend(State::atTransaction);
  }
}

void copyBulk(void* shared, const void* global, size_t bytes, uint64_t* barrier, unsigned ranks,
              bool constant) {
  if (machine.early && !machine.current->awaited && !constant)
    failHere("cp.async.bulk of what another kernel may still write");
  if (reinterpret_cast<uintptr_t>(shared) % 16 != 0 || reinterpret_cast<uintptr_t>(global) % 16 != 0 ||
      bytes % 16 != 0)
    failHere("cp.async.bulk: misaligned");
  for (unsigned rank = 0; ranks >> rank != 0; ++rank) {
    if ((ranks >> rank & 1) == 0) continue;
    void* const destination = translated(shared, rank, "cp.async.bulk");
    uint64_t* const counting = translated(barrier, rank, "cp.async.bulk");
    TransactionBarrier& transactions = transactionsAt(counting);
    std::memset(destination, 0xff, bytes);
    transactions.copies.push_back({destination, global, bytes});
    if (isAwaited(counting)) completeIfPossible(counting, transactions);
  }
}

void checkTransactions() {
  for (const auto& [address, barrier] : machine.transactions)
    if (barrier.bytes != 0 || !barrier.copies.empty()) {
      machine.failure = "mbarrier: bytes that nobody has awaited, or that have not come";
      return;
    }
}

}  // namespace sim
