#include "options.h"

#include <charconv>
#include <functional>
#include <iomanip>
#include <map>
#include <sstream>
#include <string_view>
#include <system_error>

#include "core/error.h"

namespace rnd1::bench {
namespace {

[[noreturn]] void refuse(const std::string& message) { throw Error(ErrorCode::invalidArgument, message); }

template <typename Number>
Number number(const std::string& name, std::string_view value) {
  Number result{};
  const auto [end, error] = std::from_chars(value.data(), value.data() + value.size(), result);
  if (error != std::errc{} || end != value.data() + value.size() || !(result > 0))
    refuse(name + " must be a positive number, not '" + std::string(value) + "'");
  return result;
}

/** Calls read(name, part) for every comma-separated part. */
template <typename Read>
auto parts(const std::string& name, std::string_view list, Read read) {
  std::vector<decltype(read(name, list))> result;
  while (true) {
    const size_t comma = list.find(',');
    result.push_back(read(name, list.substr(0, comma)));
    if (comma == std::string_view::npos) return result;
    list.remove_prefix(comma + 1);
  }
}

BatchSize batchSize(const std::string& name, std::string_view value) {
  const size_t cross = value.find('x');
  if (cross == std::string_view::npos)
    refuse(name + " must be CANVASESxLENGTH, as in 4x256, not '" + std::string(value) + "'");
  return {number<int64_t>(name, value.substr(0, cross)), number<int64_t>(name, value.substr(cross + 1))};
}

DType dtypeNamed(const std::string& name, std::string_view value) {
  for (const DType dtype : {DType::f32, DType::f16, DType::bf16})
    if (value == dtypeName(dtype)) return dtype;
  if (name == "--weights") {
    for (const DType dtype : {DType::q8, DType::q5, DType::q4, DType::fp8})
      if (value == dtypeName(dtype)) return dtype;
    refuse(name + " must be f32, f16, bf16, q8, q5, q4 or fp8, not '" + std::string(value) + "'");
  }
  refuse(name + " must be f32, f16 or bf16, not '" + std::string(value) + "'");
}

/** Thresholds between tiles of GPU matmuls (Backend::setBorder). */
constexpr const char* borderNames[] = {"few-rows", "medium-rows", "many-rows", "few-expert-rows",
                                       "many-expert-rows"};

void atMost(const char* name, double value, double max) {
  if (value > max) {
    std::ostringstream text;
    text << name << " must be at most " << std::setprecision(12) << max << ", not " << value;
    refuse(text.str());
  }
}

/** Larger values are useless, and products of sizes would overflow. */
void checkLimits(const Options& options) {
  constexpr double max = 1 << 24, experts = 1 << 16;
  const auto check = [](const char* name, int64_t value, double limit) {
    atMost(name, static_cast<double>(value), limit);
  };
  for (const int64_t rows : options.rows) check("--rows", rows, max);
  for (const BatchSize& size : options.cases) {
    check("--cases", size.length, 40960);
    check("--cases", size.canvases, max / static_cast<double>(size.length));
  }
  for (const int64_t rows : options.rows)
    check("--canvases", options.canvases, max / static_cast<double>(rows));
  check("--hidden", options.hidden, 1 << 16);
  check("--heads", options.heads, 1 << 12);
  check("--key-value-heads", options.keyValueHeads, 1 << 12);
  check("--head-dim", options.headDim, 1 << 12);
  check("--experts", options.experts, experts);
  check("--expert-width", options.expertWidth, 1 << 18);
  check("--vocabulary", options.vocabulary, max);
  check("--layers", options.layers, 1024);
  check("--threads", options.threads, 4096);
  atMost("--effort", options.effort, 100);
}

void checkSizes(const Options& options) {
  checkLimits(options);
  if (options.heads % options.keyValueHeads != 0) refuse("--heads must be a multiple of --key-value-heads");
  if (options.headDim % 2 != 0) refuse("--head-dim must be even");
  if (options.expertsPerToken > options.experts) refuse("--experts-per-token must not exceed --experts");
  if (options.routing != "even" && options.routing != "random" && options.routing != "skewed")
    refuse("--routing must be even, random or skewed, not '" + options.routing + "'");
  if (options.simulateThreads && options.device != "cpu") refuse("--simulated-threads is for the CPU");
  if (!options.cases.empty() && options.bench != "step")
    refuse("--cases is for step only: " + options.bench + " takes --rows");
  if (!options.cases.empty() && !options.rows.empty()) refuse("--cases and --rows exclude each other");
  if (options.cases.empty() && options.rows.empty() && options.bench != "peaks")
    refuse(options.bench == "step" ? "step needs --cases 1x256 or --rows 256"
                                   : options.bench + " needs --rows 256");
}

}  // namespace

const char* const usage =
    "rnd1_bench attention|experts|matmul|norms|peaks|route|score|step --rows 64,256 [--device cpu|cuda:N]\n"
    "  [--dtype f32|f16|bf16] [--weights f32|f16|bf16|q8|q5|q4|fp8] [--threads N | --simulated-threads N]\n"
    "  [--runs N] [--effort X] [--canvases N]\n"
    "  [--hidden N] [--heads N] [--key-value-heads N] [--head-dim N] [--experts N] [--experts-per-token N]\n"
    "  [--expert-width N] [--vocabulary N] [--layers N] [--routing even|random|skewed]\n"
    "  [--few-rows N] [--medium-rows N] [--many-rows N] [--few-expert-rows N] [--many-expert-rows N]\n"
    "  [--early-launches 0|1] [--clusters 0|1]\n"
    "rnd1_bench step --cases 1x64,4x256 …: whole steps of batches of equal canvases\n";

Options parseOptions(std::span<const char* const> arguments) {
  if (arguments.empty()) refuse(std::string("name an op:\n") + usage);
  Options options;
  options.bench = arguments[0];

  using Read = std::function<void(const std::string& name, std::string_view value)>;
  const auto size = [](int64_t& target) {
    return Read([&](const auto& name, auto value) { target = number<int64_t>(name, value); });
  };
  const auto count = [](int& target) {
    return Read([&](const auto& name, auto value) { target = number<int>(name, value); });
  };
  const auto text = [](std::string& target) {
    return Read([&](const auto&, auto value) { target = std::string(value); });
  };
  const auto dtype = [](DType& target) {
    return Read([&](const auto& name, auto value) { target = dtypeNamed(name, value); });
  };
  std::map<std::string, Read> known{
      {"--device", text(options.device)},
      {"--dtype", dtype(options.dtype)},
      {"--weights", dtype(options.weights)},
      {"--threads", count(options.threads)},
      {"--simulated-threads",
       [&](const auto& name, auto value) {
         options.threads = number<int>(name, value);
         options.simulateThreads = true;
       }},
      {"--runs", count(options.runs)},
      {"--effort", [&](const auto& name, auto value) { options.effort = number<double>(name, value); }},
      {"--rows", [&](const auto& name, auto value) { options.rows = parts(name, value, number<int64_t>); }},
      {"--cases", [&](const auto& name, auto value) { options.cases = parts(name, value, batchSize); }},
      {"--routing", text(options.routing)},
      {"--canvases", size(options.canvases)},
      {"--hidden", size(options.hidden)},
      {"--heads", size(options.heads)},
      {"--key-value-heads", size(options.keyValueHeads)},
      {"--head-dim", size(options.headDim)},
      {"--experts", size(options.experts)},
      {"--experts-per-token", size(options.expertsPerToken)},
      {"--expert-width", size(options.expertWidth)},
      {"--vocabulary", size(options.vocabulary)},
      {"--layers", size(options.layers)},
  };
  for (const char* const border : borderNames)
    known[std::string("--") + border] = [&, border](const auto& name, auto value) {
      options.borders.emplace_back(border, number<int64_t>(name, value));
    };
  for (const char* const given : {"early-launches", "clusters"})
    known[std::string("--") + given] = [&, given](const auto& name, std::string_view value) {
      if (value != "0" && value != "1") refuse(name + " must be 0 or 1, not '" + std::string(value) + "'");
      options.borders.emplace_back(given, value == "1");
    };
  for (size_t i = 1; i < arguments.size(); i += 2) {
    const auto found = known.find(arguments[i]);
    if (found == known.end()) refuse(std::string("unknown option ") + arguments[i] + "\n" + usage);
    if (i + 1 == arguments.size()) refuse(std::string(arguments[i]) + " needs a value");
    found->second(found->first, arguments[i + 1]);
  }
  checkSizes(options);
  return options;
}

}  // namespace rnd1::bench
