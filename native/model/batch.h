#pragma once

#include "model/buffer.h"

namespace rnd1 {

/** An array that exists twice: on the host, to be filled, and in the backend, for ops. */
template <typename T>
struct Part {
  T* host = nullptr;
  T* device = nullptr;
};

/** How much a batch holds. Rows and canvases are buckets. */
struct BatchShape {
  int64_t rows = 0;
  int64_t canvases = 0;
  bool filters = false;  // whether any canvas filters or draws
  int64_t banned = 0;    // ids
};

/**
 * Everything that a pass tells the backend, in one block: one copy, whatever the number of canvases. The
 * parts of the same shape always lie at the same places, so that a recorded step finds them there.
 */
class Batch {
 public:
  explicit Batch(Backend& backend) : backend_(backend), host_(backend), device_(backend) {}

  /** Room for shapes up to this one. */
  void reserve(const BatchShape& shape);
  /** Places the parts; what they held is lost. The shape's arrays fit in what was reserved. */
  void arrange(const BatchShape& shape);
  void upload() const;

  /** Rows of the batch; rows that are scored; of those, rows that are greedy and unfiltered, and the others.
   */
  enum Count { allRows, scoredRows, greedyRows, filteredRows, countOfCounts };

  Part<int32_t> counts;     // (countOfCounts)
  Part<int32_t> tokens;     // (rows)
  Part<int32_t> positions;  // (rows)
  Part<int32_t> offsets;    // (canvases + 1): those that do not exist are empty
  Part<int32_t>
      gather;  // (rows): the rows whose logits predict the scored ones, greedy unfiltered ones first
  Part<int32_t> gatherFiltered;  // (rows): indices into those
  Part<ScoreRow> scored;         // (rows), then (rows) for filtered ones if there are any
  Part<uint8_t> eligible;        // like scored
  Part<SamplingPlan> sampling;   // (canvases)
  Part<UnmaskCanvas> unmask;     // (canvases)
  Part<int32_t> banned;          // (banned)

 private:
  /** Calls visit(part, count) for every part, in the order in which they lie. */
  template <typename Visit>
  void forEachPart(const BatchShape& shape, Visit&& visit);
  size_t bytesOf(const BatchShape& shape);

  Backend& backend_;
  Buffer<std::byte, Side::host> host_;
  Buffer<std::byte> device_;
  size_t used_ = 0;
};

}  // namespace rnd1
