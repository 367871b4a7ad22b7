#include "harness.h"

#include <algorithm>
#include <chrono>
#include <iostream>
#include <sstream>

#include "backend/registry.h"
#include "core/error.h"

namespace rnd1::bench {
namespace {

/** Minimum seconds per measurement, far above the cost of a clock or a synchronization. */
constexpr double worthMeasuring = 0.02;
constexpr int64_t maxCalls = 1000;

/** Builds a flat JSON object. */
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

/** Medians per field. */
Peaks medians(const std::vector<Peaks>& peaks) {
  return {median(peaks, [](const Peaks& p) { return p.copyBytesPerSecond; }),
          median(peaks, [](const Peaks& p) { return p.matrixOperationsPerSecond; }),
          median(peaks, [](const Peaks& p) { return p.integerOperationsPerSecond; })};
}

/** Times calls of one case. */
class Calls {
 public:
  Calls(Backend& backend, const Case& measured, SimulatedThreads* simulation)
      : backend_(backend), measured_(measured), simulation_(simulation) {}

  /** Runs `calls` calls one by one, waits, and returns the seconds per call. */
  double oneByOne(int64_t calls) {
    return timed(calls, [&] {
      for (int64_t call = 0; call < calls; ++call) measured_.call(before_++);
    });
  }

  /** The same for calls that GPUs record and replay as one, which times their work, not their launches. */
  double together(int64_t calls) {
    if (backend_.device() == "cpu" || !measured_.sequence) return oneByOne(calls);
    const auto ops = [&] {
      for (int64_t call = 0; call < calls; ++call) measured_.call(call);
    };
    const auto run = [&] { backend_.runSequence({key_, 0, false, false}, ops); };
    // The first run of a key is not recorded, the second is.
    if (recorded_ != calls) {
      key_ = nextKey++;
      for (int i = 0; i < 2; ++i) run();
      backend_.synchronize();
      recorded_ = calls;
    }
    return timed(calls, run);
  }

 private:
  template <typename Run>
  double timed(int64_t calls, Run&& run) {
    if (simulation_) simulation_->reset();
    const auto start = std::chrono::steady_clock::now();
    run();
    backend_.synchronize();
    double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
    if (simulation_) seconds += simulation_->parallelSeconds() - simulation_->serialSeconds();
    return seconds / static_cast<double>(calls);
  }

  inline static int64_t nextKey = 1;

  Backend& backend_;
  const Case& measured_;
  SimulatedThreads* const simulation_;
  int64_t before_ = 0, key_ = 0, recorded_ = 0;
};

}  // namespace

void Bench::reportPeaks() const {
  Line line = describe("peaks", backend);
  addPeaks(line, backend.measurePeaks(options.effort)).print();
}

void Bench::report(const Case& measured) const {
  Calls run(backend, measured, simulationOf(options));
  run.oneByOne(1);
  const double once = std::max(run.oneByOne(1), 1e-9);
  const auto calls = std::clamp(static_cast<int64_t>(worthMeasuring / once) + 1, int64_t{1}, maxCalls);
  std::vector<double> seconds;
  std::vector<Peaks> peaks;
  for (int i = 0; i < options.runs; ++i) {
    // Warms the caches again after the peak measurement.
    run.oneByOne(1);
    seconds.push_back(run.together(calls));
    // Interleaved, because clock rates and the load of the machine change.
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

void Bench::report(const Case& measured, const std::vector<LaunchSum>& launches) const {
  for (const LaunchSum& sum : launches)
    describe("launches", backend)
        .text("case", measured.name)
        .numbers("shape", measured.shape)
        .text("name", sum.name)
        .number("launches", sum.launches)
        .number("seconds", sum.seconds)
        .print();
}

SimulatedThreads* simulationOf(const Options& options) {
  static SimulatedThreads simulation;
  return options.simulateThreads ? &simulation : nullptr;
}

std::unique_ptr<Backend> backendOf(const Options& options) {
  SimulatedThreads* simulation = simulationOf(options);
  auto backend = simulation ? makeCpuBackend(options.dtype, options.threads, "", simulation)
                            : makeBackend(options.device, options.dtype, options.threads);
  for (const auto& [name, value] : options.borders)
    if (!backend->setBorder(name, value))
      throw Error(ErrorCode::invalidArgument, "--" + name + " has no effect on " + options.device);
  return backend;
}

}  // namespace rnd1::bench
