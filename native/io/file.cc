#include "io/file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <system_error>
#include <utility>

#include "core/error.h"

namespace rnd1 {
namespace {

[[noreturn]] void fail(const std::string& path, const char* what, const std::string& why) {
  throw Error(ErrorCode::io, std::string("cannot ") + what + " " + path + ": " + why);
}

}  // namespace

std::string systemError(int error) {
  char number[24];
  std::snprintf(number, sizeof number, " (errno %d)", error);
  return std::system_category().message(error) + number;
}

File::File(const std::string& path, Mode mode)
    : path_(path), descriptor_(::open(path.c_str(), (mode == Mode::read ? O_RDONLY : O_WRONLY) | O_CLOEXEC)) {
  if (descriptor_ < 0) fail(path, "open", systemError(errno));
}

File::~File() {
  if (descriptor_ >= 0) ::close(descriptor_);
}

File::File(File&& other) noexcept
    : path_(std::move(other.path_)), descriptor_(std::exchange(other.descriptor_, -1)) {}

uint64_t File::size() const {
  struct stat status;
  if (::fstat(descriptor_, &status) != 0) fail(path_, "examine", systemError(errno));
  return static_cast<uint64_t>(status.st_size);
}

void File::willNeed([[maybe_unused]] uint64_t offset, [[maybe_unused]] uint64_t length) const noexcept {
#if defined(POSIX_FADV_WILLNEED)
  ::posix_fadvise(descriptor_, static_cast<off_t>(offset), static_cast<off_t>(length), POSIX_FADV_WILLNEED);
#endif
}

void File::read(uint64_t offset, std::span<std::byte> bytes) const {
  while (!bytes.empty()) {
    const ssize_t count = ::pread(descriptor_, bytes.data(), bytes.size(), static_cast<off_t>(offset));
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) fail(path_, "read", systemError(errno));
    if (count == 0) fail(path_, "read", "it ends too early");
    offset += static_cast<uint64_t>(count);
    bytes = bytes.subspan(static_cast<size_t>(count));
  }
}

void File::write(uint64_t offset, std::span<const std::byte> bytes) const {
  while (!bytes.empty()) {
    const ssize_t count = ::pwrite(descriptor_, bytes.data(), bytes.size(), static_cast<off_t>(offset));
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) fail(path_, "write", systemError(errno));
    offset += static_cast<uint64_t>(count);
    bytes = bytes.subspan(static_cast<size_t>(count));
  }
}

void File::synchronize() const {
  if (::fsync(descriptor_) != 0) fail(path_, "write", systemError(errno));
}

}  // namespace rnd1
