#pragma once

#include <string>
#include <vector>

#include "oracle.h"

namespace rnd1::test {

/** The raw arrays of a JSON file of golden data. */
class GoldenArrays {
 public:
  /** `path`: of the JSON file without its extension, below test/fixtures. Throws if it cannot be read. */
  explicit GoldenArrays(const std::string& path);

  /** An array of f64 or f32; throws if there is none of this name. */
  std::vector<double> doubles(const std::string& name) const;
  /** The same in f32, which is exact for inputs. */
  std::vector<float> floats(const std::string& name) const;
  std::vector<int32_t> integers(const std::string& name) const;
  Matrix matrix(const std::string& name, int64_t rows, int64_t columns) const;

 private:
  /** Where the description of an array begins. */
  size_t entryOf(const std::string& name) const;
  std::string dtypeOf(const std::string& name) const;
  template <typename T>
  std::vector<T> read(const std::string& name) const;

  std::string json_, data_;
};

}  // namespace rnd1::test
