#pragma once

#include <initializer_list>
#include <source_location>
#include <sstream>
#include <string>
#include <type_traits>
#include <vector>

/** Registration, expectations and failure messages of the native tests. */
namespace rnd1::test {

using Location = std::source_location;

struct TestCase {
  std::string name;
  void (*body)();
  bool onDevices = false;  // goes over forEachFactory: see DeviceTests
};

/** All tests, in the order of registration. */
std::vector<TestCase>& registry();

/** At the end of a file, at namespace scope: registers its tests. */
struct Tests {
  explicit Tests(std::initializer_list<TestCase> tests) { registry().insert(registry().end(), tests); }
};

/** The same for tests of backends, which `--device` may confine to one. */
struct DeviceTests {
  explicit DeviceTests(std::initializer_list<TestCase> tests);
};

/** What `--device` says: "cpu", "cuda:0"; empty: every device that there is. */
const std::string& chosenDevice();

/** The name of the running test. */
const std::string& runningTest();

/** Whether the running test is to try a device. It must be one of DeviceTests. */
bool tries(const std::string& device);

/** Why `device` cannot be tried; empty when it can. Every program of tests has its own. */
std::string deviceUnavailable(const std::string& device);

/** While it lives, failures are prefixed with the text: which backend, which sizes. */
class Scope {
 public:
  explicit Scope(std::string text);
  ~Scope();
  Scope(const Scope&) = delete;
  Scope& operator=(const Scope&) = delete;
};

/** Joins anything that can be printed. */
template <typename... Parts>
std::string text(const Parts&... parts) {
  std::ostringstream stream;
  stream.precision(9);
  (stream << ... << parts);
  return stream.str();
}

/** Small integers print as numbers. */
template <typename T>
auto printable(const T& value) {
  if constexpr (std::is_arithmetic_v<T>) {
    return +value;
  } else {
    return value;
  }
}

/** Records a failure of the running test, which goes on. */
void fail(const std::string& message, Location location = Location::current());

/** Counts an expectation: a test that made none has failed. */
void countExpectation();

inline bool expect(bool condition, const std::string& message, Location location = Location::current()) {
  countExpectation();
  if (!condition) fail(message, location);
  return condition;
}

template <typename Actual, typename Expected>
bool expectEqual(const Actual& actual, const Expected& expected, const std::string& what,
                 Location location = Location::current()) {
  countExpectation();
  if (actual == expected) return true;
  fail(text(what, ": got ", printable(actual), ", expected ", printable(expected)), location);
  return false;
}

/** `body` must throw an Exception; returns its message. */
template <typename Exception, typename Body>
std::string expectThrows(Body&& body, const std::string& what, Location location = Location::current()) {
  countExpectation();
  try {
    body();
  } catch (const Exception& error) {
    return error.what();
  }
  fail(what + ": did not throw", location);
  return "";
}

}  // namespace rnd1::test
