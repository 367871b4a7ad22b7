#include <cmath>

#include "backends.h"

namespace rnd1::test {
namespace {

void peaksAreRates() {
  forEachBackend([](Backend& backend) {
    const Peaks peaks = backend.measurePeaks(1e-6);
    expect(std::isfinite(peaks.copyBytesPerSecond) && peaks.copyBytesPerSecond > 0,
           "bytes per second are finite and positive");
    expect(std::isfinite(peaks.matrixOperationsPerSecond) && peaks.matrixOperationsPerSecond > 0,
           "operations per second are finite and positive");
    expect(std::isfinite(peaks.integerOperationsPerSecond) &&
               (peaks.integerOperationsPerSecond > 0) == (backend.device() == "cpu"),
           "the CPU multiplies integers");
  });
}

const DeviceTests peaksTests{
    {"measurePeaks: finite and positive, at whatever effort", peaksAreRates},
};

}  // namespace
}  // namespace rnd1::test
