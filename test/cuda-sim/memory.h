#pragma once

#include <cstddef>

namespace sim {

/** Memory between two inaccessible pages; never freed. Its last 16 bytes end at a page boundary. */
std::byte* guardedMemory(size_t bytes);

/** Opens the device memory at an address that this thread has access to; false if there is none, or it is
 * open. */
bool openTouched(void* address);

/** Installs the handler that opens memory, and reports the rest as failures of the running kernel.
 * Idempotent. */
void catchFaults();

}  // namespace sim
