#include <algorithm>
#include <cstdio>
#include <exception>
#include <iostream>

#include "backend/registry.h"
#include "harness.h"

namespace rnd1::test {
namespace {

// One test may fail at thousands of elements; the first few are enough.
constexpr int printedFailures = 8;

int failures = 0;
int64_t expectations = 0;
std::vector<std::string> scopes;

const TestCase* running = nullptr;
std::string device;

/** Command-line options. */
struct Selection {
  bool list = false, exact = false;
  std::vector<std::string> names;  // full names with `exact`, else parts; empty: all tests
  int part = 1, parts = 1;         // of the tests, by turns

  bool has(const TestCase& test) const {
    if (!device.empty() && !test.onDevices) return false;
    return names.empty() || std::any_of(names.begin(), names.end(), [&](const std::string& name) {
             return exact ? test.name == name : test.name.find(name) != std::string::npos;
           });
  }
};

/** Reads K/N, with 1 ≤ K ≤ N. */
bool readPart(const char* text, Selection& selection) {
  char slash = 0, more = 0;
  return std::sscanf(text, "%d%c%d%c", &selection.part, &slash, &selection.parts, &more) == 3 &&
         slash == '/' && selection.part >= 1 && selection.part <= selection.parts;
}

/** Whether all output was written. */
bool written() {
  if (std::cout.flush()) return true;
  std::cerr << "rnd1_tests: cannot write to the standard output\n";
  return false;
}

bool passes(const TestCase& test) {
  failures = 0;
  expectations = 0;
  running = &test;
  try {
    test.body();
    if (expectations == 0) fail("the test expects nothing");
  } catch (const std::exception& error) {
    fail(text("unexpected exception: ", error.what()));
  }
  scopes.clear();
  if (failures > printedFailures) std::cout << "  … " << failures - printedFailures << " more\n";
  return failures == 0;
}

}  // namespace

std::vector<TestCase>& registry() {
  static std::vector<TestCase> tests;
  return tests;
}

Scope::Scope(std::string text) { scopes.push_back(std::move(text)); }
Scope::~Scope() {
  if (!scopes.empty()) scopes.pop_back();
}

void fail(const std::string& message, Location location) {
  if (++failures > printedFailures) return;
  std::cout << "  " << location.file_name() << ":" << location.line() << ": ";
  for (const auto& scope : scopes) std::cout << scope << ": ";
  std::cout << message << "\n";
}

void countExpectation() { ++expectations; }

DeviceTests::DeviceTests(std::initializer_list<TestCase> tests) {
  for (TestCase test : tests) {
    test.onDevices = true;
    registry().push_back(test);
  }
}

const std::string& chosenDevice() { return device; }

const std::string& runningTest() { return running->name; }

bool tries(const std::string& candidate) {
  if (running && !running->onDevices) fail("it goes over devices, and is not one of DeviceTests");
  return device.empty() || device == candidate;
}

}  // namespace rnd1::test

/**
 * rnd1_tests [--device cpu|cuda:N] [--part K/N] [--list] [--exact] [name…]: runs the tests whose names
 * contain one of the names, or, with --exact, are one of them. --device: only the tests of backends, on that
 * device. --part: the Kth of every N of them. Exit code 1: a test failed; 2: wrong options; 3: no such
 * device.
 *
 * rnd1_tests --instruction-sets: prints those of this processor.
 */
int main(int argc, char** argv) {
  using namespace rnd1::test;
  Selection selection;
  for (int index = 1; index < argc; ++index) {
    const std::string argument = argv[index];
    if (argument == "--instruction-sets") {
      const auto names = rnd1::cpuInstructionSets();
      for (const auto& name : names) std::cout << name << (&name == &names.back() ? "\n" : " ");
      return 0;
    }
    if (argument == "--list") {
      selection.list = true;
    } else if (argument == "--exact") {
      selection.exact = true;
    } else if (argument == "--device" && index + 1 < argc && *argv[index + 1]) {
      device = argv[++index];
    } else if (argument == "--part" && index + 1 < argc && readPart(argv[index + 1], selection)) {
      ++index;
    } else if (argument.starts_with("-")) {
      std::cerr << "rnd1_tests: " << argument
                << (argument == "--device" ? " needs a device, cpu or cuda:N\n"
                    : argument == "--part" ? " needs K/N\n"
                                           : " is not an option\n");
      return 2;
    } else {
      selection.names.push_back(argument);
    }
  }
  if (selection.exact && selection.names.empty()) {
    std::cerr << "rnd1_tests: --exact needs the name of a test\n";
    return 2;
  }
  if (device == "cuda") device = "cuda:0";
  if (!device.empty()) {
    const std::string reason = deviceUnavailable(device);
    if (!reason.empty()) {
      std::cerr << "rnd1_tests: " << reason << "\n";
      return 3;
    }
  }
  int passed = 0;
  int failed = 0;
  int turn = 0;
  for (const auto& test : registry()) {
    if (!selection.has(test) || turn++ % selection.parts != selection.part - 1) continue;
    if (selection.list) {
      std::cout << test.name << "\n";
      continue;
    }
    const bool good = passes(test);
    std::cout << (good ? "passed  " : "FAILED  ") << test.name << std::endl;
    ++(good ? passed : failed);
  }
  if (selection.list) return written() ? 0 : 1;
  if (passed + failed == 0) {
    std::cout << "no test matches\n";
    ++failed;
  }
  std::cout << passed << " passed, " << failed << " failed\n";
  return failed == 0 && written() ? 0 : 1;
}
