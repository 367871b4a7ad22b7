// rnd1_bench: times one op of one backend; prints one JSON object per line, the peaks of the device first.
#include <exception>
#include <iostream>
#include <map>

#include "core/error.h"
#include "harness.h"

namespace rnd1::bench {
namespace {

const std::map<std::string, void (*)(const Bench&)> registry{
    {"attention", benchAttention},  {"experts", benchExperts}, {"matmul", benchMatmul}, {"norms", benchNorms},
    {"peaks", [](const Bench&) {}}, {"route", benchRoute},     {"score", benchScore},   {"step", benchStep},
};

void run(std::span<const char* const> arguments) {
  const auto found = registry.find(arguments.empty() ? "" : arguments[0]);
  if (found == registry.end() && !arguments.empty())
    throw Error(ErrorCode::invalidArgument,
                std::string("there is no bench '") + arguments[0] + "'\n" + usage);
  const Options options = parseOptions(arguments);
  const auto backend = backendOf(options);
  const Bench bench(*backend, options);
  bench.reportPeaks();
  found->second(bench);
}

}  // namespace
}  // namespace rnd1::bench

int main(int argc, char** argv) {
  try {
    rnd1::bench::run({argv + 1, static_cast<size_t>(argc > 0 ? argc - 1 : 0)});
    if (!std::cout.flush()) throw rnd1::Error(rnd1::ErrorCode::io, "cannot write to the standard output");
    return 0;
  } catch (const std::exception& error) {
    std::cerr << "rnd1_bench: " << error.what() << "\n";
    return 1;
  }
}
