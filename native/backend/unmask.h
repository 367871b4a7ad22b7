#pragma once

#include <span>
#include <vector>

#include "backend/backend.h"

namespace rnd1 {

/** The unmasking rule of docs/architecture.md, "Schedules": Backend::unmask for scores in host memory. */
class Unmasker {
 public:
  /** Room for that many scored rows, so that `unmask` does not allocate. */
  void reserve(int64_t rows) {
    order_.reserve(static_cast<size_t>(rows));
    keys_.reserve(static_cast<size_t>(rows));
  }

  /** Sets `committed` of every score. The three are aligned. */
  void unmask(const UnmaskPlan& plan, std::span<const ScoreRow> rows, std::span<const uint8_t> eligible,
              std::span<Score> scores);

 private:
  std::vector<int32_t> order_;
  std::vector<uint32_t> keys_;  // of the random order
};

}  // namespace rnd1
