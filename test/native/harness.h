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
  bool onDevices = false;  // uses forEachFactory: see DeviceTests
};

/** All tests, in the order of registration. */
std::vector<TestCase>& registry();

/** Registers the tests of a file; defined at its end, at namespace scope. */
struct Tests {
  explicit Tests(std::initializer_list<TestCase> tests) { registry().insert(registry().end(), tests); }
};

/** The same for tests of backends, which `--device` may limit to one. */
struct DeviceTests {
  explicit DeviceTests(std::initializer_list<TestCase> tests);
};

/** Value of `--device`: "cpu", "cuda:0"; empty: all available devices. */
const std::string& chosenDevice();

/** The name of the running test. */
const std::string& runningTest();

/** Whether the running test, one of DeviceTests, should use a device. */
bool tries(const std::string& device);

/** Why `device` cannot be used; empty if it can. Each test program defines its own. */
std::string deviceUnavailable(const std::string& device);

/** During its lifetime, failures are prefixed with the text: which backend, which sizes. */
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

/** Records a failure of the running test, which continues. */
void fail(const std::string& message, Location location = Location::current());

/** Counts an expectation: a test without one fails. */
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
