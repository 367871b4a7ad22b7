#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

namespace rnd1 {

/** What the system says of an errno, as `No such file or directory (errno 2)`. Any thread. */
std::string systemError(int error);

/**
 * An open file, read or written at given offsets by any number of threads. Unlike a mapped one it gives an
 * error where it was truncated. All members throw Error io, naming the path.
 */
class File {
 public:
  enum class Mode { read, write };

  /** `write` opens what exists already. */
  File(const std::string& path, Mode mode);
  ~File();
  File(File&& other) noexcept;
  File& operator=(File&&) = delete;

  const std::string& path() const { return path_; }
  int descriptor() const { return descriptor_; }
  /** As it is now. */
  uint64_t size() const;
  /** Hints that [offset, offset + length) will be read soon. */
  void willNeed(uint64_t offset, uint64_t length) const noexcept;
  /** Fills all of `bytes`. */
  void read(uint64_t offset, std::span<std::byte> bytes) const;
  /** Writes all of `bytes`. */
  void write(uint64_t offset, std::span<const std::byte> bytes) const;
  /** Returns when what was written is on the disk. */
  void synchronize() const;

 private:
  std::string path_;
  int descriptor_ = -1;
};

}  // namespace rnd1
