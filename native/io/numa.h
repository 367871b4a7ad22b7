#pragma once

#include <array>
#include <cstddef>

namespace rnd1 {

/** NUMA nodes, a bit each. */
using NodeSet = std::array<unsigned long, 1024 / (8 * sizeof(unsigned long))>;

/** The nodes whose memory this process may use; none if the system does not tell. */
NodeSet memoryNodes() noexcept;

/**
 * Asks the system to spread the pages of [memory, memory + bytes), which must begin at a page and must not
 * have been touched, over `nodes`: all sockets then read weights as fast, and their memory is read at once.
 * Returns whether it will: it may refuse, as in many containers, and pages are then where the thread runs
 * that touches them first.
 */
bool interleave(void* memory, size_t bytes, const NodeSet& nodes) noexcept;

/** `interleave` over all nodes, if there are several and nobody has chosen nodes for this process, as numactl
 * does. */
void interleaveOnNuma(void* memory, size_t bytes) noexcept;

}  // namespace rnd1
