#include "model/batch.h"

#include <algorithm>

namespace rnd1 {
namespace {

constexpr size_t alignment = 16;

template <typename T>
size_t partBytes(int64_t count) {
  return (static_cast<size_t>(count) * sizeof(T) + alignment - 1) / alignment * alignment;
}

}  // namespace

template <typename Visit>
void Batch::forEachPart(const BatchShape& shape, Visit&& visit) {
  const int64_t scoredRows = shape.regions() * shape.rows;
  visit(counts, countOfCounts);
  visit(tokens, shape.rows);
  visit(positions, shape.rows);
  visit(offsets, shape.canvases + 1);
  visit(caches, shape.cached ? shape.canvases : 0);
  visit(gather, shape.rows);
  visit(gatherFiltered, shape.filters ? shape.rows : 0);
  visit(gatherGuided, shape.guided ? 2 * shape.guidedRows() : 0);
  visit(scored, scoredRows);
  visit(eligible, scoredRows);
  visit(sampling, shape.canvases);
  visit(unmask, shape.canvases);
  // Last, because recorded steps do not depend on its size.
  visit(ids, shape.ids);
}

size_t Batch::bytesOf(const BatchShape& shape) {
  size_t bytes = 0;
  forEachPart(shape, [&]<typename T>(Part<T>&, int64_t count) { bytes += partBytes<T>(count); });
  return bytes;
}

void Batch::reserve(const BatchShape& shape) {
  const auto bytes = static_cast<int64_t>(bytesOf(shape));
  host_.reserve(bytes);
  device_.reserve(bytes);
}

void Batch::arrange(const BatchShape& shape) {
  used_ = 0;
  forEachPart(shape, [&]<typename T>(Part<T>& part, int64_t count) {
    part = {reinterpret_cast<T*>(host_.data() + used_), reinterpret_cast<T*>(device_.data() + used_)};
    used_ += partBytes<T>(count);
  });
  std::fill_n(host_.data(), used_, std::byte{0});
}

void Batch::upload() const { backend_.upload(device_.data(), host_.data(), used_); }

}  // namespace rnd1
