#pragma once

#include <cstddef>

namespace sim {

/** Memory between two inaccessible pages; never freed. Its last 16 bytes end at a page boundary. */
std::byte* guardedMemory(size_t bytes);

}  // namespace sim
