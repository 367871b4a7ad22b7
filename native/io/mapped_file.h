#pragma once

#include <cstddef>
#include <span>
#include <string>

namespace rnd1 {

/** A file mapped read-only and shared: processes that map the same file share its pages. Throws Error io. */
class MappedFile {
 public:
  explicit MappedFile(const std::string& path);
  ~MappedFile();
  MappedFile(MappedFile&& other) noexcept;
  MappedFile& operator=(MappedFile&&) = delete;

  const std::string& path() const { return path_; }
  std::span<const std::byte> bytes() const { return {data_, size_}; }
  /** Hints that [offset, offset + length) will be read soon. */
  void willNeed(size_t offset, size_t length) const noexcept;
  /** Gives back the memory of whole pages in [offset, offset + length); a later look reads the file again. */
  void wontNeed(size_t offset, size_t length) const noexcept;

 private:
  std::string path_;
  const std::byte* data_ = nullptr;
  size_t size_ = 0;
};

}  // namespace rnd1
