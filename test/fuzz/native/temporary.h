#pragma once

#include <unistd.h>

#include <cstddef>
#include <cstdlib>
#include <span>
#include <string>

namespace rnd1::fuzz {

/** A file with this content, in memory where the system has such a folder, deleted at the end. */
class TemporaryFile {
 public:
  explicit TemporaryFile(std::span<const std::byte> content) {
    path_ = ::access("/dev/shm", W_OK) == 0 ? "/dev/shm/rnd1-fuzz-XXXXXX" : "/tmp/rnd1-fuzz-XXXXXX";
    const int descriptor = ::mkstemp(path_.data());
    if (descriptor < 0) std::abort();
    if (::write(descriptor, content.data(), content.size()) != static_cast<ssize_t>(content.size()))
      std::abort();
    ::close(descriptor);
  }
  ~TemporaryFile() { ::unlink(path_.c_str()); }
  TemporaryFile(const TemporaryFile&) = delete;
  TemporaryFile& operator=(const TemporaryFile&) = delete;

  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

}  // namespace rnd1::fuzz
