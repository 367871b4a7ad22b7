#include "training/batch.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <string>

#include "core/error.h"

namespace rnd1 {
namespace {

[[noreturn]] void refuse(const std::string& what) { throw Error(ErrorCode::invalidArgument, what); }

void require(bool condition, const char* what) {
  if (!condition) refuse(what);
}

}  // namespace

int64_t TrainingBatch::longest() const {
  int64_t longest = 0;
  for (size_t i = 0; i + 1 < offsets.size(); ++i)
    longest = std::max<int64_t>(longest, offsets[i + 1] - offsets[i]);
  return longest;
}

void TrainingBatch::validate(int64_t vocabulary, int64_t maxPositions) const {
  require(!tokens.empty(), "tokens must not be empty");
  require(tokens.size() <= std::numeric_limits<int32_t>::max(), "tokens: too many");
  const auto count = static_cast<int32_t>(tokens.size());
  if (offsets.size() < 2 || offsets.front() != 0 || offsets.back() != count)
    refuse("offsets must begin with 0 and end with the number of tokens, " + std::to_string(count));
  for (size_t i = 0; i + 1 < offsets.size(); ++i) {
    require(offsets[i] < offsets[i + 1], "offsets must ascend strictly");
    if (offsets[i + 1] - offsets[i] > maxPositions)
      refuse("a canvas has " + std::to_string(offsets[i + 1] - offsets[i]) +
             " tokens, and the model at most " + std::to_string(maxPositions) + " positions");
  }
  const auto checkIds = [&](const std::vector<int32_t>& ids, const char* name) {
    for (const int32_t id : ids)
      if (id < 0 || id >= vocabulary)
        refuse(std::string(name) + " contains " + std::to_string(id) + ", and the vocabulary has " +
               std::to_string(vocabulary) + " tokens");
  };
  checkIds(tokens, "tokens");
  checkIds(targets, "targets");
  require(rows.size() == targets.size() && rows.size() == weights.size(),
          "rows, targets and weights must have the same length");
  for (size_t i = 0; i < rows.size(); ++i) {
    if (rows[i] < 0 || rows[i] >= count)
      refuse("rows contains " + std::to_string(rows[i]) + ", and there are " + std::to_string(count) +
             " tokens");
    require(i == 0 || rows[i - 1] < rows[i], "rows must ascend strictly");
    require(std::isfinite(weights[i]), "weights must be finite");
  }
  require(std::isfinite(auxCoef) && auxCoef >= 0, "auxCoef must be finite and not negative");
  require(std::isfinite(zCoef) && zCoef >= 0, "zCoef must be finite and not negative");
}

}  // namespace rnd1
