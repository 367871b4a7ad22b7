#pragma once

#include <cstddef>

namespace sim {

/** Memory between two pages that may not be touched; never freed. Its last 16 bytes end where a page begins.
 */
std::byte* guardedMemory(size_t bytes);

}  // namespace sim
