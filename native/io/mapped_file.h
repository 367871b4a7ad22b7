#pragma once

#include <atomic>
#include <cstddef>
#include <memory>
#include <span>
#include <string>

#include "io/file.h"
#include "io/mapping_guard.h"

namespace rnd1 {

/**
 * A file mapped read-only and shared: processes that map the same file share its pages. Throws Error io.
 *
 * If the file is truncated or cannot be read while it is mapped, its bytes may turn to zeros; on Linux the
 * process survives this (MappingGuard).
 */
class MappedFile {
 public:
  explicit MappedFile(const std::string& path) : MappedFile(File(path, File::Mode::read)) {}
  explicit MappedFile(File file);
  ~MappedFile();
  MappedFile(MappedFile&& other) noexcept;
  MappedFile& operator=(MappedFile&&) = delete;

  const std::string& path() const { return file_.path(); }
  std::span<const std::byte> bytes() const { return {data_, size_}; }
  /** Hints that [offset, offset + length) will be read soon. */
  void willNeed(size_t offset, size_t length) const noexcept;
  /** Throws Error io if `bytes` may have differed from the file; then in all later calls too. */
  void checkIntact() const;

 private:
  File file_;
  const std::byte* data_ = nullptr;
  size_t size_ = 0;
  std::unique_ptr<MappingGuard> guard_;
  mutable std::atomic<size_t> least_{0};  // smallest file size seen
};

}  // namespace rnd1
