#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

namespace rnd1 {

/** The system's message for an errno, as `No such file or directory (errno 2)`. Thread-safe. */
std::string systemError(int error);

/**
 * An open file, read or written at given offsets by any number of threads. Unlike a mapped file, it reports
 * truncation as an error. All members throw Error io, naming the path.
 */
class File {
 public:
  enum class Mode { read, write };

  /** `write` opens an existing file. */
  File(const std::string& path, Mode mode);
  ~File();
  File(File&& other) noexcept;
  File& operator=(File&&) = delete;

  const std::string& path() const { return path_; }
  int descriptor() const { return descriptor_; }
  /** The current size. */
  uint64_t size() const;
  /** Hints that [offset, offset + length) will be read soon. */
  void willNeed(uint64_t offset, uint64_t length) const noexcept;
  /** Fills all of `bytes`. */
  void read(uint64_t offset, std::span<std::byte> bytes) const;
  /** Writes all of `bytes`. */
  void write(uint64_t offset, std::span<const std::byte> bytes) const;
  /** Returns when all written data is on the disk (fsync). */
  void synchronize() const;

 private:
  std::string path_;
  int descriptor_ = -1;
};

}  // namespace rnd1
