// rnd1_bench: times one verb of one backend; prints a JSON object a line, the peaks of the device first.
#include <exception>
#include <iostream>
#include <map>

#include "backend/registry.h"
#include "core/error.h"
#include "harness.h"

namespace rnd1::bench {
namespace {

const std::map<std::string, void (*)(const Bench&)> registry{
    {"attention", benchAttention},  {"experts", benchExperts}, {"matmul", benchMatmul}, {"norms", benchNorms},
    {"peaks", [](const Bench&) {}}, {"route", benchRoute},     {"score", benchScore},
};

void run(std::span<const char* const> arguments) {
  const Options options = parseOptions(arguments);
  const auto found = registry.find(options.bench);
  if (found == registry.end())
    throw Error(ErrorCode::invalidArgument, "there is no bench '" + options.bench + "'\n" + usage);
  const auto backend = makeBackend(options.device, options.dtype, options.threads);
  const Bench bench(*backend, options);
  bench.reportPeaks();
  found->second(bench);
}

}  // namespace
}  // namespace rnd1::bench

int main(int argc, char** argv) {
  try {
    rnd1::bench::run({argv + 1, static_cast<size_t>(argc > 0 ? argc - 1 : 0)});
    return 0;
  } catch (const std::exception& error) {
    std::cerr << "rnd1_bench: " << error.what() << "\n";
    return 1;
  }
}
