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
  bool filters = false;  // whether any canvas filters or draws
  int64_t banned = 0;    // number of ids
};

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

  /** Row counts: all; scored; of those, greedy unfiltered ones, and the others. */
  enum Count { allRows, scoredRows, greedyRows, filteredRows, countOfCounts };

  Part<int32_t> counts;     // (countOfCounts)
  Part<int32_t> tokens;     // (rows)
  Part<int32_t> positions;  // (rows)
  Part<int32_t> offsets;    // (canvases + 1): excess canvases are empty
  Part<int32_t>
      gather;  // (rows): the rows whose logits predict the scored ones, greedy unfiltered ones first
  Part<int32_t> gatherFiltered;  // (rows): indices into `gather`
  Part<ScoreRow> scored;         // (rows), then (rows) for filtered ones, if any
  Part<uint8_t> eligible;        // like scored
  Part<SamplingPlan> sampling;   // (canvases)
  Part<UnmaskCanvas> unmask;     // (canvases)
  Part<int32_t> banned;          // (banned)

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
