#include "golden_arrays.h"

#include <cstdlib>
#include <cstring>
#include <fstream>
#include <sstream>
#include <stdexcept>

namespace rnd1::test {
namespace {

/** In RND1_FIXTURES, for programs that run on another machine, or in the checkout that they are built from.
 */
std::string fixture(const std::string& path) {
  const char* const folder = std::getenv("RND1_FIXTURES");
  return std::string(folder ? folder : RND1_FIXTURES) + "/" + path;
}

std::string fileText(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) throw std::runtime_error(path + " cannot be read");
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

}  // namespace

GoldenArrays::GoldenArrays(const std::string& path)
    : json_(fileText(fixture(path + ".json"))), data_(fileText(fixture(path + ".bin"))) {}

size_t GoldenArrays::entryOf(const std::string& name) const {
  // The entries of "arrays" are the only objects whose keys are the names of arrays.
  const size_t arrays = json_.find("\"arrays\""), entry = json_.find("\"" + name + "\": {", arrays);
  if (arrays == std::string::npos || entry == std::string::npos)
    throw std::runtime_error("the golden data have no array " + name);
  return entry;
}

std::string GoldenArrays::dtypeOf(const std::string& name) const {
  const std::string key = "\"dtype\": \"";
  return json_.substr(json_.find(key, entryOf(name)) + key.size(), 3);
}

template <typename T>
std::vector<T> GoldenArrays::read(const std::string& name) const {
  const size_t entry = entryOf(name);
  const auto number = [&](const std::string& key) {
    return static_cast<size_t>(
        std::stoul(json_.substr(json_.find("\"" + key + "\": ", entry) + key.size() + 4, 20)));
  };
  const size_t offset = number("offset"), bytes = number("bytes");
  if (offset + bytes > data_.size()) throw std::runtime_error(name + " lies outside of the data");
  std::vector<T> values(bytes / sizeof(T));
  std::memcpy(values.data(), data_.data() + offset, bytes);
  return values;
}

std::vector<double> GoldenArrays::doubles(const std::string& name) const {
  if (dtypeOf(name) == "f64") return read<double>(name);
  const std::vector<float> values = read<float>(name);
  return {values.begin(), values.end()};
}

std::vector<int32_t> GoldenArrays::integers(const std::string& name) const { return read<int32_t>(name); }

std::vector<float> GoldenArrays::floats(const std::string& name) const {
  const std::vector<double> values = doubles(name);
  return {values.begin(), values.end()};
}

Matrix GoldenArrays::matrix(const std::string& name, int64_t rows, int64_t columns) const {
  Matrix result(rows, columns);
  std::vector<float> values = floats(name);
  if (values.size() != result.values.size()) throw std::runtime_error(name + " has another shape");
  result.values = std::move(values);
  return result;
}

}  // namespace rnd1::test
