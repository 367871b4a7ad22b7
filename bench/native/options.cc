#include "options.h"

#include <charconv>
#include <functional>
#include <map>
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

std::vector<int64_t> numbers(const std::string& name, std::string_view list) {
  std::vector<int64_t> result;
  while (true) {
    const size_t comma = list.find(',');
    result.push_back(number<int64_t>(name, list.substr(0, comma)));
    if (comma == std::string_view::npos) return result;
    list.remove_prefix(comma + 1);
  }
}

DType dtypeNamed(const std::string& name, std::string_view value) {
  for (const DType dtype : {DType::f32, DType::f16, DType::bf16})
    if (value == dtypeName(dtype)) return dtype;
  if (name == "--weights") {
    for (const DType dtype : {DType::q8, DType::q4})
      if (value == dtypeName(dtype)) return dtype;
    refuse(name + " must be f32, f16, bf16, q8 or q4, not '" + std::string(value) + "'");
  }
  refuse(name + " must be f32, f16 or bf16, not '" + std::string(value) + "'");
}

void checkSizes(const Options& options) {
  if (options.heads % options.keyValueHeads != 0) refuse("--heads must be a multiple of --key-value-heads");
  if (options.headDim % 2 != 0) refuse("--head-dim must be even");
  if (options.expertsPerToken > options.experts) refuse("--experts-per-token must not exceed --experts");
  if (options.routing != "even" && options.routing != "random" && options.routing != "skewed")
    refuse("--routing must be even, random or skewed, not '" + options.routing + "'");
}

}  // namespace

const char* const usage =
    "rnd1_bench attention|experts|matmul|norms|peaks|route|score --rows 64,256 [--device cpu|cuda:N]\n"
    "  [--dtype f32|f16|bf16] [--weights f32|f16|bf16|q8|q4] [--threads N] [--runs N] [--effort X] "
    "[--canvases N]\n"
    "  [--hidden N] [--heads N] [--key-value-heads N] [--head-dim N] [--experts N] [--experts-per-token N]\n"
    "  [--expert-width N] [--vocabulary N] [--routing even|random|skewed]\n";

Options parseOptions(std::span<const char* const> arguments) {
  if (arguments.empty()) refuse(std::string("which verb?\n") + usage);
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
  const std::map<std::string, Read> known{
      {"--device", text(options.device)},
      {"--dtype", dtype(options.dtype)},
      {"--weights", dtype(options.weights)},
      {"--threads", count(options.threads)},
      {"--runs", count(options.runs)},
      {"--effort", [&](const auto& name, auto value) { options.effort = number<double>(name, value); }},
      {"--rows", [&](const auto& name, auto value) { options.rows = numbers(name, value); }},
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
