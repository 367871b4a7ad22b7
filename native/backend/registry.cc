#include "backend/registry.h"

#include <charconv>

#include "core/error.h"

namespace rnd1 {

std::unique_ptr<Backend> makeBackend(const std::string& device, DType dtype, int threads) {
  if (device == "cpu") return makeCpuBackend(dtype, threads);
  if (device == "cuda") return makeCudaBackend(dtype, 0);
  if (device.starts_with("cuda:")) {
    const char* first = device.data() + 5;
    const char* last = device.data() + device.size();
    int ordinal = -1;
    const auto [end, error] = std::from_chars(first, last, ordinal);
    if (error == std::errc{} && end == last && ordinal >= 0) return makeCudaBackend(dtype, ordinal);
  }
  throw Error(ErrorCode::invalidArgument, "device must be 'cpu', 'cuda' or 'cuda:N', not '" + device + "'");
}

}  // namespace rnd1
