#include <cstring>
#include <exception>
#include <iostream>
#include <string_view>

#include "backend/backend.h"
#include "harness.h"

namespace rnd1::test {
namespace {

// One test may fail at thousands of elements; the first few say enough.
constexpr int printedFailures = 8;

int failures = 0;
int64_t expectations = 0;
std::vector<std::string> scopes;

bool selected(const std::string& name, const std::vector<std::string_view>& filters) {
  if (filters.empty()) return true;
  for (const auto filter : filters)
    if (name.find(filter) != std::string::npos) return true;
  return false;
}

bool passes(const TestCase& test) {
  failures = 0;
  expectations = 0;
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

}  // namespace rnd1::test

/** rnd1_tests [--list | --instruction-sets] [filter…]: runs the tests whose name contains a filter. */
int main(int argc, char** argv) {
  using namespace rnd1::test;
  bool list = false;
  std::vector<std::string_view> filters;
  for (int index = 1; index < argc; ++index) {
    if (std::strcmp(argv[index], "--instruction-sets") == 0) {
      const auto names = rnd1::cpuInstructionSets();
      for (const auto& name : names) std::cout << name << (&name == &names.back() ? "\n" : " ");
      return 0;
    }
    if (std::strcmp(argv[index], "--list") == 0) {
      list = true;
    } else {
      filters.emplace_back(argv[index]);
    }
  }
  int passed = 0;
  int failed = 0;
  for (const auto& test : registry()) {
    if (!selected(test.name, filters)) continue;
    if (list) {
      std::cout << test.name << "\n";
      continue;
    }
    const bool good = passes(test);
    std::cout << (good ? "passed  " : "FAILED  ") << test.name << std::endl;
    ++(good ? passed : failed);
  }
  if (list) return 0;
  if (passed + failed == 0) {
    std::cout << "no test matches\n";
    ++failed;
  }
  std::cout << passed << " passed, " << failed << " failed\n";
  return failed == 0 ? 0 : 1;
}
