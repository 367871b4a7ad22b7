#pragma once

#include "model/buffer.h"

namespace rnd1 {

/** An array with two copies: on the host, to be filled, and in the backend, for ops. */
template <typename T>
struct Part {
  T* host = nullptr;
  T* device = nullptr;
};

/** Size of a batch. Rows and canvases are buckets (Backend::bucket). */
struct BatchShape {
  int64_t rows = 0;
  int64_t canvases = 0;
  bool filters = false;  // whether any canvas needs complete rows of logits: it filters or draws
  int64_t ids = 0;       // banned and zeroed ones, of all canvases
  bool guided = false;   // whether any canvas has guidance
  bool cached = false;   // whether any canvas has a cache

  int64_t regions() const { return 1 + (filters ? 1 : 0) + (guided ? 1 : 0); }
  /** The most rows of guided canvases: each comes with an unconditional one of equal length. */
  int64_t guidedRows() const { return rows / 2; }
};

/** Scored rows by how they are scored; a region has room for all rows. */
enum class ScoreRegion { greedyUnfiltered, filtered, guided };

/**
 * All inputs of a pass in one block: one upload, whatever the number of canvases. Batches of the same shape
 * always have the same layout, which recorded steps rely on.
 */
class Batch {
 public:
  explicit Batch(Backend& backend) : backend_(backend), host_(backend), device_(backend) {}

  /** Reserves memory for shapes up to this one. */
  void reserve(const BatchShape& shape);
  /** Lays out the parts and clears them. The shape must fit the reserved memory. */
  void arrange(const BatchShape& shape);
  void upload() const;

  /** Row counts: all; those whose final states are needed; scored ones by region. */
  enum Count { allRows, wantedRows, greedyRows, filteredRows, guidedRows, countOfCounts };
  static constexpr Count countOf(ScoreRegion region) {
    return static_cast<Count>(greedyRows + static_cast<int>(region));
  }

  Part<int32_t> counts;      // (countOfCounts)
  Part<int32_t> tokens;      // (rows)
  Part<int32_t> positions;   // (rows)
  Part<int32_t> offsets;     // (canvases + 1): excess canvases are empty
  Part<CanvasCache> caches;  // (canvases), if any has one
  Part<int32_t> gather;  // (rows): the rows whose states are needed, those of greedy unfiltered ones first
  Part<int32_t> gatherFiltered;  // (rows): indices into `gather`
  Part<int32_t> gatherGuided;    // (2, guidedRows): the same, of guided canvases and of unconditional ones
  Part<ScoreRow> scored;         // (regions, rows), without the regions that the shape does not have
  Part<uint8_t> eligible;        // like scored
  Part<SamplingPlan> sampling;   // (canvases)
  Part<UnmaskCanvas> unmask;     // (canvases)
  Part<int32_t> ids;             // (ids): banned and zeroed ones

 private:
  /** Calls visit(part, count) for every part, in memory order. */
  template <typename Visit>
  void forEachPart(const BatchShape& shape, Visit&& visit);
  size_t bytesOf(const BatchShape& shape);

  Backend& backend_;
  Buffer<std::byte, Side::host> host_;
  Buffer<std::byte> device_;
  size_t used_ = 0;
};

}  // namespace rnd1
