#include <atomic>
#include <chrono>
#include <cmath>
#include <limits>
#include <random>
#include <thread>
#include <vector>

#include "core/abort.h"
#include "core/dtype.h"
#include "core/error.h"
#include "core/parallel.h"
#include "core/random.h"
#include "harness.h"

namespace rnd1::test {
namespace {

/** A binary format with an implicit leading one and subnormals. */
struct Format {
  DType dtype;
  int exponentBits;
  int mantissaBits;

  int bias() const { return (1 << (exponentBits - 1)) - 1; }
  int minExponent() const { return 1 - bias(); }
};

constexpr Format formats[] = {{DType::f16, 5, 10}, {DType::bf16, 8, 7}};

float decode(DType dtype, uint16_t bits) {
  return dtype == DType::bf16 ? bf16ToFloat(bits) : f16ToFloat(bits);
}
uint16_t encode(DType dtype, float value) {
  return dtype == DType::bf16 ? floatToBf16(value) : floatToF16(value);
}

/** The value of a bit pattern, from the definition of the format. */
double valueOf(const Format& format, uint16_t bits) {
  const int exponent = (bits >> format.mantissaBits) & ((1 << format.exponentBits) - 1);
  const int mantissa = bits & ((1 << format.mantissaBits) - 1);
  const double sign = bits & 0x8000 ? -1 : 1;
  if (exponent == (1 << format.exponentBits) - 1)
    return mantissa ? std::nan("") : sign * std::numeric_limits<double>::infinity();
  const int leading = exponent ? 1 << format.mantissaBits : 0;
  const int power = (exponent ? exponent : 1) - format.bias() - format.mantissaBits;
  return sign * std::ldexp(leading + mantissa, power);
}

/** The nearest value of the format, ties to even: a multiple of the spacing at that magnitude. */
double nearest(const Format& format, double value) {
  if (value == 0 || !std::isfinite(value)) return value;
  const int exponent = std::max(std::ilogb(value), format.minExponent());
  const double rounded = std::ldexp(std::nearbyint(std::ldexp(value, format.mantissaBits - exponent)),
                                    exponent - format.mantissaBits);
  const double limit = std::ldexp(1, format.bias() + 1);
  return std::abs(rounded) >= limit ? std::copysign(std::numeric_limits<double>::infinity(), value) : rounded;
}

bool same(double a, double b) {
  return std::isnan(a) ? std::isnan(b) : a == b && std::signbit(a) == std::signbit(b);
}

void everyPattern() {
  for (const Format& format : formats)
    for (uint32_t pattern = 0; pattern < 0x10000; ++pattern) {
      const auto bits = static_cast<uint16_t>(pattern);
      const float value = decode(format.dtype, bits);
      if (!expect(same(value, valueOf(format, bits)), text(dtypeName(format.dtype), " pattern ", pattern,
                                                           " is ", valueOf(format, bits), ", not ", value)))
        return;
      const uint16_t back = encode(format.dtype, value);
      const bool kept = std::isnan(value) ? std::isnan(decode(format.dtype, back)) : back == bits;
      if (!expect(kept, text(dtypeName(format.dtype), " pattern ", pattern, " comes back as ", back))) return;
    }
}

void roundsToNearest() {
  const auto check = [](const Format& format, float value) {
    const float actual = decode(format.dtype, encode(format.dtype, value));
    const bool good = same(actual, nearest(format, value)) && same(roundTo(format.dtype, value), actual);
    expect(good, text(dtypeName(format.dtype), " of ", value, " is ", actual, ", expected ",
                      nearest(format, value)));
  };
  for (const Format& format : formats) {
    // Every value, the midpoint to the next one, and the f32 neighbours of both.
    for (uint32_t pattern = 0; pattern < 0x10000; ++pattern) {
      const double value = valueOf(format, static_cast<uint16_t>(pattern));
      if (!std::isfinite(value)) continue;
      double next = valueOf(format, static_cast<uint16_t>(pattern + 1));
      if (!std::isfinite(next)) next = std::copysign(std::ldexp(1, format.bias() + 1), value);
      for (const double point : {value, (value + next) / 2}) {
        const auto exact = static_cast<float>(point);
        for (const float at : {exact, std::nextafter(exact, INFINITY), std::nextafter(exact, -INFINITY)})
          check(format, at);
      }
    }
    std::mt19937 engine(7);
    for (int i = 0; i < 500000; ++i) {
      const float value = std::bit_cast<float>(static_cast<uint32_t>(engine()));
      if (!std::isnan(value)) check(format, value);
    }
    for (const float value : {0.0f, -0.0f, INFINITY, -INFINITY}) check(format, value);
    expect(std::isnan(roundTo(format.dtype, std::nanf(""))), "NaN becomes a number");
    // Only the lowest mantissa bit distinguishes this NaN from infinity.
    expect(std::isnan(roundTo(format.dtype, std::bit_cast<float>(0x7f800001u))), "NaN becomes infinity");
  }
  expectEqual(roundTo(DType::f32, 0.1f), 0.1f, "f32 of f32");
}

void dtypeSizes() {
  expectEqual(dtypeSize(DType::f32), size_t{4}, "f32");
  expectEqual(dtypeSize(DType::f16), size_t{2}, "f16");
  expectEqual(dtypeSize(DType::bf16), size_t{2}, "bf16");
  for (const DType quantized : {DType::q8, DType::q5, DType::q4})
    expectThrows<std::logic_error>([&] { dtypeSize(quantized); }, "the size of a quantized number");
  for (const auto& [dtype, name] : {std::pair{DType::f32, "f32"}, {DType::f16, "f16"}, {DType::bf16, "bf16"}})
    expect(dtypeName(dtype) == std::string(name), name);
}

void philoxVectors() {
  struct Vector {
    uint64_t seed;
    std::array<uint32_t, 4> counter, words;
  };
  // kat_vectors of Random123.
  constexpr Vector vectors[] = {
      {0, {0, 0, 0, 0}, {0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}},
      {~uint64_t{0}, {~0u, ~0u, ~0u, ~0u}, {0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}},
      {0x299f31d0a4093822,
       {0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344},
       {0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}},
  };
  for (const Vector& vector : vectors) {
    const auto words = philox(vector.seed, vector.counter);
    for (size_t i = 0; i < 4; ++i) expectEqual(words[i], vector.words[i], text("word ", i));
  }
}

void uniformIsOpen() {
  expectEqual(uniform(0), 0x1p-24f, "the least");
  expectEqual(uniform(~0u), 1 - 0x1p-24f, "the largest");
  expectEqual(uniform(0x80000000u), 0.5f + 0x1p-24f, "the middle");
  expectEqual(uniform(511), uniform(0), "the low nine bits do not count");
  double sum = 0;
  for (uint32_t i = 0; i < 10000; ++i) sum += uniform(philox(1, drawCounter(4 * i, 7, 2))[0]);
  expect(std::abs(sum / 10000 - 0.5) < 0.01, text("mean ", sum / 10000));
}

void countersDiffer() {
  expect(drawCounter(0, 3, 4) != orderCounter(3, 4), "draws and orders");
  expect(drawCounter(4, 3, 4) != drawCounter(8, 3, 4), "tokens");
  expect(drawCounter(4, 3, 4) == drawCounter(7, 3, 4), "four tokens share a block");
  expect(drawCounter(4, 3, 4) != drawCounter(4, 4, 3), "position and round");
}

void everyItemOnce() {
  for (const int threads : {1, 2, 3, 8, 16, 64}) {
    ThreadPool pool(threads);
    expectEqual(pool.threads(), threads, "threads");
    for (const int64_t count : {0, 1, 2, 3, 7, 1000}) {
      std::vector<std::atomic<int>> seen(static_cast<size_t>(count));
      std::atomic<bool> known{true};
      pool.forEach(count, [&](int64_t item, int thread) {
        ++seen[static_cast<size_t>(item)];
        if (thread < 0 || thread >= threads) known = false;
      });
      expect(known, "a thread outside the pool");
      for (const auto& times : seen)
        expectEqual(times.load(), 1, text(threads, " threads, ", count, " items"));
    }
  }
}

void threadsDoNotShare() {
  ThreadPool pool(3);
  std::atomic<int> running[3]{};
  std::atomic<bool> alone{true};
  pool.forEach(3000, [&](int64_t, int thread) {
    if (running[thread].fetch_add(1) != 0) alone = false;
    running[thread].fetch_sub(1);
  });
  expect(alone, "scratch memory of a thread would be shared");
}

void manyShortJobs() {
  ThreadPool pool(3);
  std::vector<int64_t> values(64, 0);
  for (int round = 0; round < 2000; ++round)
    pool.forEach(64, [&](int64_t item, int) { values[static_cast<size_t>(item)] += item + (round & 1); });
  int64_t sum = 0;
  for (const int64_t value : values) sum += value;
  expectEqual(sum, int64_t{2000} * (63 * 64 / 2) + 1000 * 64, "sum");
}

/** Workers that slept may wake up when their job, or the next one, is over. */
void lateWorkersTouchNothing() {
  ThreadPool pool(8);
  std::atomic<bool> late{false};
  int64_t items = 0;
  for (int round = 0; round < 200; ++round) {
    // Until all workers sleep, or only some; they wake up somewhere among many short jobs.
    std::this_thread::sleep_for(std::chrono::microseconds(round % 5 * 200));
    for (int job = 0; job < 300; ++job) {
      std::atomic<bool> over{false};
      std::atomic<int64_t> done{0};
      pool.forEach(2 + job % 3, [&](int64_t, int) {
        if (over) late = true;
        ++done;
      });
      over = true;
      items += done;
    }
  }
  expect(!late, "an item ran after its job");
  expectEqual(items, int64_t{200 * 100 * (2 + 3 + 4)}, "items");
}

void poolsEnd() {
  for (int round = 0; round < 50; ++round) {
    ThreadPool unused(3);
    ThreadPool used(2);
    int64_t sum = 0;
    used.forEach(1, [&](int64_t, int thread) { sum += 1 + thread; });
    expectEqual(sum, int64_t{1}, "a single item runs on the caller");
  }
}

void errorCodes() {
  const Error error(ErrorCode::invalidCheckpoint, "model.safetensors: truncated");
  expect(error.code() == ErrorCode::invalidCheckpoint, "code");
  expect(error.what() == std::string("model.safetensors: truncated"), "message");
  expect(errorCodeName(error.code()) == std::string("invalid_checkpoint"), "name");
  AbortFlag flag;
  flag.throwIfAborted();
  expect(!flag.aborted(), "a new flag is set");
  flag.abort();
  expect(flag.aborted(), "the flag is not set");
  const auto message = expectThrows<Error>([&] { flag.throwIfAborted(); }, "throwIfAborted");
  expect(message == "aborted", message);
}

const Tests coreTests{
    {"dtype: all 65,536 patterns of f16 and bf16 both ways", everyPattern},
    {"dtype: rounding to nearest, ties to even, against double computeDtype", roundsToNearest},
    {"dtype: sizes and names", dtypeSizes},
    {"random: the published vectors of Philox 4x32-10", philoxVectors},
    {"random: uniform numbers lie inside (0, 1), evenly", uniformIsOpen},
    {"random: draws and the random order never share a counter", countersDiffer},
    {"parallel: every item once, by a thread of the pool", everyItemOnce},
    {"parallel: two items never run on one thread number at once", threadsDoNotShare},
    {"parallel: what one job wrote is there for the next", manyShortJobs},
    {"parallel: workers that wake up late touch nothing", lateWorkersTouchNothing},
    {"parallel: pools end at any time, used or not", poolsEnd},
    {"error: code and message", errorCodes},
};

}  // namespace
}  // namespace rnd1::test
