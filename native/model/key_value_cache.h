#pragma once

#include <span>
#include <vector>

#include "model/architecture.h"

namespace rnd1 {

/**
 * Keys and values of all layers at the positions of one canvas, which passes fill and later passes read. It
 * must not outlive the backend.
 */
class KeyValueCache {
 public:
  /** Throws Error invalid_argument for positions that the model does not have, and out_of_memory. */
  KeyValueCache(Backend& backend, const Architecture& architecture, int64_t positions);
  ~KeyValueCache();
  KeyValueCache(const KeyValueCache&) = delete;
  KeyValueCache& operator=(const KeyValueCache&) = delete;

  int64_t positions() const { return static_cast<int64_t>(computed_.size()); }
  int64_t bytes() const { return bytes_; }

  /** Whether a pass has computed the position. */
  bool computed(int32_t position) const { return computed_[static_cast<size_t>(position)] != 0; }
  void setComputed(std::span<const int32_t> positions, bool computed);

  /** As ops read it, for a canvas of `keys` positions. */
  CanvasCache view(int32_t keys) const {
    return {static_cast<std::byte*>(data_), static_cast<int32_t>(positions()), keys};
  }

 private:
  Backend& backend_;
  int64_t bytes_ = 0;
  std::vector<uint8_t> computed_;
  void* data_ = nullptr;
};

/** The positions of a canvas that a pass computes, one row each. */
struct CachedRows {
  KeyValueCache* cache = nullptr;      // null: all positions
  std::span<const int32_t> positions;  // ascending; the others are in the cache

  int64_t count(size_t tokens) const { return static_cast<int64_t>(cache ? positions.size() : tokens); }
  int32_t position(int64_t row) const {
    return cache ? positions[static_cast<size_t>(row)] : static_cast<int32_t>(row);
  }
  bool computes(int32_t position) const;
  /** The row of a position that is computed; of another one, any row. */
  int32_t row(int32_t position) const;

  /**
   * Throws Error invalid_argument if they do not suit a canvas of `tokens` positions, or if one of the first
   * `visible` positions is neither computed nor in the cache.
   */
  void check(size_t tokens, int32_t visible) const;
};

}  // namespace rnd1
