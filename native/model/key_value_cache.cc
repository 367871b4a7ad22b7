#include "model/key_value_cache.h"

#include <algorithm>
#include <string>

#include "core/error.h"

namespace rnd1 {
namespace {

[[noreturn]] void refuse(const std::string& message) {
  throw Error(ErrorCode::invalidArgument, "cache: " + message);
}

int64_t columnsOf(const Architecture& architecture) {
  int64_t columns = 0;
  for (const auto& [attention, mlp] : architecture.layers)
    columns = sizeSum(columns, 2 * attention.heads.keyValueColumns());
  return columns;
}

}  // namespace

KeyValueCache::KeyValueCache(Backend& backend, const Architecture& architecture, int64_t positions)
    : backend_(backend) {
  if (positions < 1 || positions > architecture.maxPositions)
    refuse("positions must be an integer from 1 to " + std::to_string(architecture.maxPositions) + ", not " +
           std::to_string(positions));
  computed_.resize(static_cast<size_t>(positions));
  bytes_ = sizeProduct(positions, columnsOf(architecture), static_cast<int64_t>(dtypeSize(backend.dtype())));
  try {
    data_ = backend.allocateCache(static_cast<size_t>(bytes_));
  } catch (const Error& error) {
    if (error.code() != ErrorCode::outOfMemory) throw;
    throw Error(ErrorCode::outOfMemory, "a key/value cache of " + std::to_string(positions) +
                                            " positions takes " + std::to_string(bytes_) +
                                            " bytes: " + error.what());
  }
}

KeyValueCache::~KeyValueCache() { backend_.releaseCache(data_); }

void KeyValueCache::setComputed(std::span<const int32_t> positions, bool computed) {
  for (const int32_t position : positions) computed_[static_cast<size_t>(position)] = computed;
}

bool CachedRows::computes(int32_t position) const {
  return !cache || std::binary_search(positions.begin(), positions.end(), position);
}

int32_t CachedRows::row(int32_t position) const {
  if (!cache) return position;
  const auto found = std::lower_bound(positions.begin(), positions.end(), position);
  return found == positions.end() ? 0 : static_cast<int32_t>(found - positions.begin());
}

void CachedRows::check(size_t tokens, int32_t visible) const {
  if (static_cast<int64_t>(tokens) > cache->positions())
    refuse("the canvas has " + std::to_string(tokens) + " positions, the cache " +
           std::to_string(cache->positions()));
  int32_t needed = 0;
  const auto require = [&](int32_t end) {
    for (; needed < std::min(end, visible); ++needed)
      if (!cache->computed(needed))
        refuse("position " + std::to_string(needed) + " was never computed, and is not among the rows");
  };
  for (const int32_t position : positions) {
    // Also false if they do not ascend.
    if (position < needed || static_cast<size_t>(position) >= tokens)
      refuse("rows must be positions of the canvas, strictly ascending; " + std::to_string(position) +
             " is not");
    require(position);
    needed = position + 1;
  }
  require(visible);
}

}  // namespace rnd1
