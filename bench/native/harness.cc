#include "harness.h"

#include <algorithm>
#include <chrono>
#include <iostream>
#include <sstream>

namespace rnd1::bench {
namespace {

/** What one measurement should take at least: far above what a clock or a synchronization costs. */
constexpr double worthMeasuring = 0.02;
constexpr int64_t mostCalls = 1000;

/** One flat JSON object, field by field. */
class Line {
 public:
  Line() { out_.precision(12); }
  Line& text(const char* name, const std::string& value) {
    key(name) << '"';
    for (const char letter : value) {
      if (letter == '"' || letter == '\\') out_ << '\\';
      out_ << letter;
    }
    out_ << '"';
    return *this;
  }
  template <typename Number>
  Line& number(const char* name, Number value) {
    key(name) << value;
    return *this;
  }
  Line& numbers(const char* name, const std::vector<std::pair<std::string, int64_t>>& values) {
    key(name) << '{';
    for (size_t i = 0; i < values.size(); ++i)
      out_ << (i > 0 ? "," : "") << '"' << values[i].first << "\":" << values[i].second;
    out_ << '}';
    return *this;
  }
  void print() { std::cout << '{' << out_.str() << '}' << std::endl; }

 private:
  std::ostream& key(const char* name) {
    if (out_.tellp() > 0) out_ << ',';
    return out_ << '"' << name << "\":";
  }

  std::ostringstream out_;
};

Line describe(const char* bench, const Backend& backend) {
  Line line;
  line.text("bench", bench)
      .text("device", backend.device())
      .text("instructionSet", backend.instructionSet())
      .number("threads", backend.threads())
      .text("dtype", dtypeName(backend.dtype()));
  return line;
}

Line& addPeaks(Line& line, const Peaks& peaks) {
  return line.number("copyBytesPerSecond", peaks.copyBytesPerSecond)
      .number("matrixOperationsPerSecond", peaks.matrixOperationsPerSecond)
      .number("integerOperationsPerSecond", peaks.integerOperationsPerSecond);
}

template <typename Get>
auto median(std::vector<Peaks> peaks, Get get) {
  std::sort(peaks.begin(), peaks.end(), [&](const Peaks& a, const Peaks& b) { return get(a) < get(b); });
  return get(peaks[peaks.size() / 2]);
}

/** Field by field. */
Peaks medians(const std::vector<Peaks>& peaks) {
  return {median(peaks, [](const Peaks& p) { return p.copyBytesPerSecond; }),
          median(peaks, [](const Peaks& p) { return p.matrixOperationsPerSecond; }),
          median(peaks, [](const Peaks& p) { return p.integerOperationsPerSecond; })};
}

/** Runs `calls` calls to their end and gives the seconds of one. */
double secondsPerCall(Backend& backend, const Case& measured, int64_t calls, int64_t& callsBefore) {
  const auto start = std::chrono::steady_clock::now();
  for (int64_t call = 0; call < calls; ++call) measured.call(callsBefore++);
  backend.synchronize();
  const std::chrono::duration<double> elapsed = std::chrono::steady_clock::now() - start;
  return elapsed.count() / static_cast<double>(calls);
}

}  // namespace

void Bench::reportPeaks() const {
  Line line = describe("peaks", backend);
  addPeaks(line, backend.measurePeaks(options.effort)).print();
}

void Bench::report(const Case& measured) const {
  int64_t callsBefore = 0;
  secondsPerCall(backend, measured, 1, callsBefore);
  const double once = std::max(secondsPerCall(backend, measured, 1, callsBefore), 1e-9);
  const auto calls = std::clamp(static_cast<int64_t>(worthMeasuring / once) + 1, int64_t{1}, mostCalls);
  std::vector<double> seconds;
  std::vector<Peaks> peaks;
  for (int run = 0; run < options.runs; ++run) {
    // What the peaks left in the caches is no part of it.
    secondsPerCall(backend, measured, 1, callsBefore);
    seconds.push_back(secondsPerCall(backend, measured, calls, callsBefore));
    // In turns, for clocks rise and fall, and neighbours come and go.
    peaks.push_back(backend.measurePeaks(options.effort));
  }
  std::sort(seconds.begin(), seconds.end());
  Line line = describe(options.bench.c_str(), backend);
  line.text("weights", dtypeName(options.weights))
      .text("case", measured.name)
      .numbers("shape", measured.shape)
      .number("runs", options.runs)
      .number("callsPerRun", calls)
      .number("seconds", seconds[seconds.size() / 2])
      .number("shortestSeconds", seconds.front())
      .number("longestSeconds", seconds.back())
      .number("operations", measured.operations)
      .number("bytes", measured.bytes);
  addPeaks(line, medians(peaks)).print();
}

}  // namespace rnd1::bench
