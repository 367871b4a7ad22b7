#pragma once

// The simulated twin of native/backend/cuda/device/cluster.h.
#include <cuda_runtime.h>

#define RND1_CLUSTER_CODE 1

namespace rnd1::cuda {

inline uint32_t clusterRank() { return sim::clusterRank(); }
inline void syncCluster() { sim::clusterBarrier(); }
template <int number, int threads>
void syncSome() {
  sim::namedBarrier(number, threads);
}
inline void initBarrier(uint64_t* barrier, uint32_t threads) { sim::initTransactions(barrier, threads); }
inline void publishBarriers() {}
inline void expectBytes(uint64_t* barrier, uint32_t bytes) { sim::arrive(barrier, bytes); }
inline void arriveAt(uint64_t* barrier, uint32_t rank) { sim::arriveAt(barrier, rank); }
inline void awaitBarrier(uint64_t* barrier, uint32_t parity) { sim::awaitTransactions(barrier, parity); }
inline void copyToCluster(void* shared, const void* global, uint32_t bytes, uint64_t* barrier,
                          uint16_t ranks) {
  sim::copyBulk(shared, global, bytes, barrier, ranks, true);
}

}  // namespace rnd1::cuda
