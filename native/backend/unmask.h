#pragma once

#include <span>
#include <vector>

#include "backend/backend.h"

namespace rnd1 {

/** Backend::unmask for scores in host memory (rule: docs/architecture.md, "Schedules"). */
class Unmasker {
 public:
  /** Reserves memory for that many rows: `unmask` does not allocate. */
  void reserve(int64_t rows) {
    order_.reserve(static_cast<size_t>(rows));
    keys_.reserve(static_cast<size_t>(rows));
  }

  /** Sets `committed` of every score. The three spans have one entry per row. */
  void unmask(const UnmaskPlan& plan, std::span<const ScoreRow> rows, std::span<const uint8_t> eligible,
              std::span<Score> scores);

 private:
  std::vector<int32_t> order_;
  std::vector<double> keys_;
};

}  // namespace rnd1
