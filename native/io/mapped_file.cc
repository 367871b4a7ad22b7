#include "io/mapped_file.h"

#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <utility>

#include "core/error.h"

namespace rnd1 {

MappedFile::MappedFile(File file)
    : file_(std::move(file)), size_(static_cast<size_t>(file_.size())), least_(size_) {
  if (size_ == 0) return;
  void* memory = ::mmap(nullptr, size_, PROT_READ, MAP_SHARED, file_.descriptor(), 0);
  if (memory == MAP_FAILED) throw Error(ErrorCode::io, "cannot map " + path() + ": " + systemError(errno));
  try {
    guard_ = std::make_unique<MappingGuard>(memory, size_);
  } catch (...) {
    ::munmap(memory, size_);
    throw;
  }
  data_ = static_cast<const std::byte*>(memory);
}

MappedFile::~MappedFile() {
  // The guard first: after munmap the addresses may be reused.
  guard_.reset();
  if (data_) ::munmap(const_cast<std::byte*>(data_), size_);
}

MappedFile::MappedFile(MappedFile&& other) noexcept
    : file_(std::move(other.file_)),
      data_(std::exchange(other.data_, nullptr)),
      size_(std::exchange(other.size_, 0)),
      guard_(std::move(other.guard_)),
      least_(other.least_.load()) {}

void MappedFile::willNeed(size_t offset, size_t length) const noexcept {
  const size_t page = static_cast<size_t>(::sysconf(_SC_PAGESIZE));
  const size_t first = offset / page * page;
  ::madvise(const_cast<std::byte*>(data_) + first, length + offset - first, MADV_WILLNEED);
}

void MappedFile::checkIntact() const {
  const size_t now = std::min(static_cast<size_t>(file_.size()), least_.load());
  least_ = now;
  if (now < size_)
    throw Error(ErrorCode::io, path() + " was cut from " + std::to_string(size_) + " to " +
                                   std::to_string(now) + " bytes while its weights were in use");
  if (guard_ && guard_->lost())
    throw Error(ErrorCode::io, path() + " could not be read while its weights were in use");
}

}  // namespace rnd1
