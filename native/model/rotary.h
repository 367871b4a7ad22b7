#pragma once

#include <memory>
#include <vector>

#include "model/buffer.h"

namespace rnd1 {

/** Cosines and sines of rotary embeddings: one table for all layers of the same width and theta. */
class RotaryTables {
 public:
  explicit RotaryTables(Backend& backend) : backend_(backend) {}

  /** The index of the table; `extend` fills it. */
  size_t add(int64_t width, double theta);
  /** Extends all tables to `positions`. */
  void extend(int64_t positions);
  /** (positions, width) */
  Tensor operator[](size_t index) const {
    const Table& table = *tables_[index];
    return Tensor(table.values.data(), table.positions, table.width);
  }

 private:
  struct Table {
    Table(Backend& backend, int64_t width, double theta) : width(width), theta(theta), values(backend) {}
    int64_t width;
    double theta;
    int64_t positions = 0;
    Buffer<float> values;  // (positions, width)
  };

  Backend& backend_;
  std::vector<std::unique_ptr<Table>> tables_;
};

}  // namespace rnd1
