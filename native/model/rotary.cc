#include "model/rotary.h"

#include <algorithm>
#include <cmath>

namespace rnd1 {

size_t RotaryTables::add(int64_t width, double theta) {
  const auto found = std::find_if(tables_.begin(), tables_.end(), [&](const auto& table) {
    return table->width == width && table->theta == theta;
  });
  if (found != tables_.end()) return static_cast<size_t>(found - tables_.begin());
  tables_.push_back(std::make_unique<Table>(backend_, width, theta));
  return tables_.size() - 1;
}

void RotaryTables::extend(int64_t count) {
  for (const auto& table : tables_) {
    if (count <= table->positions) continue;
    const int64_t width = table->width, half = width / 2;
    std::vector<float> values(static_cast<size_t>(sizeProduct(count, width)));
    for (int64_t position = 0; position < count; ++position) {
      float* row = values.data() + position * width;
      for (int64_t i = 0; i < half; ++i) {
        const double frequency =
            std::pow(table->theta, -2.0 * static_cast<double>(i) / static_cast<double>(width));
        const double angle = static_cast<double>(position) * frequency;
        row[i] = static_cast<float>(std::cos(angle));
        row[half + i] = static_cast<float>(std::sin(angle));
      }
    }
    table->positions = 0;
    table->values.reserve(static_cast<int64_t>(values.size()));
    backend_.upload(table->values.data(), values.data(), values.size() * sizeof(float));
    table->positions = count;
  }
}

}  // namespace rnd1
