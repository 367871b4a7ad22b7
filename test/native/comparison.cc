#include "comparison.h"

#include <algorithm>
#include <cmath>
#include <cstring>

namespace rnd1::test {

void expectClose(const Matrix& actual, const DoubleMatrix& expected, double bound, const std::string& what,
                 Location location) {
  if (!expectEqual(actual.rows, expected.rows, what + ": rows", location)) return;
  if (!expectEqual(actual.columns, expected.columns, what + ": columns", location)) return;
  double energy = 0;
  for (const double value : expected.values) energy += value * value;
  const double average = energy / static_cast<double>(std::max<int64_t>(expected.rows, 1));
  for (int64_t row = 0; row < expected.rows; ++row) {
    double error = 0;
    double rowEnergy = 0;
    int64_t worst = 0;
    double worstError = -1;
    for (int64_t column = 0; column < expected.columns; ++column) {
      const double difference = actual.at(row, column) - expected.at(row, column);
      error += difference * difference;
      rowEnergy += expected.at(row, column) * expected.at(row, column);
      if (!(std::abs(difference) <= worstError)) {
        worst = column;
        worstError = std::abs(difference);
      }
    }
    const double scale = std::max({rowEnergy, average, minEnergy});
    if (!expect(error <= bound * scale,
                text(what, ": row ", row, " of ", expected.rows, ": NMSE ",
                     error / std::max(rowEnergy, average), " > ", bound, "; worst at column ", worst, ": ",
                     actual.at(row, worst), ", expected ", expected.at(row, worst)),
                location))
      return;
  }
}

void expectSameBits(std::span<const float> actual, std::span<const float> expected, const std::string& what,
                    Location location) {
  if (!expectEqual(actual.size(), expected.size(), what + ": size", location)) return;
  for (size_t index = 0; index < actual.size(); ++index) {
    if (std::memcmp(&actual[index], &expected[index], sizeof(float)) == 0) continue;
    fail(text(what, ": element ", index, ": bits of ", actual[index], " differ from those of ",
              expected[index]),
         location);
    return;
  }
}

void expectRounded(const Matrix& values, DType computeDtype, const std::string& what, Location location) {
  countExpectation();
  for (size_t index = 0; index < values.values.size(); ++index) {
    const float value = values.values[index];
    if (roundTo(computeDtype, value) == value) continue;
    fail(text(what, ": element ", index, ": ", value, " is not a value of ", dtypeName(computeDtype)),
         location);
    return;
  }
}

}  // namespace rnd1::test
