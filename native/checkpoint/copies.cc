#include "checkpoint/copies.h"

#include <algorithm>

#include "core/failure.h"

namespace rnd1 {
namespace {

/** Bytes per block, unless a range is larger. */
constexpr int64_t maxBlockBytes = 256 << 20;

/** Bytes that may be added before they are read; bounds how far reported progress runs ahead. */
constexpr int64_t maxWaitingBytes = 32 << 20;

/** Bytes per read of one thread. */
constexpr int64_t readBytes = 4 << 20;

/** Disks are faster with several readers, even with few processors. */
constexpr int minReaders = 4;

}  // namespace

OwnedMemory ownedMemory(Backend& backend, void* memory) {
  return {memory, [&backend](void* old) { backend.release(old); }};
}

Copies::Copies(Backend& backend, const std::vector<File>& files, int64_t expectedBytes, bool all,
               std::vector<OwnedMemory>& owned, const AbortFlag& abort)
    : backend_(backend),
      owned_(owned),
      abort_(abort),
      files_(files),
      pool_(std::max(backend.threads(), minReaders)),
      blockBytes_(std::min(expectedBytes, maxBlockBytes)) {
  // Block by block, the system would overcommit and kill the process later.
  if (all) backend.release(backend.allocate(static_cast<size_t>(expectedBytes)));
}

std::byte* Copies::add(size_t file, uint64_t offset, int64_t bytes) {
  const int64_t room = wholeLines(bytes);
  if (room > left_) {
    left_ = std::max(room, blockBytes_);
    owned_.push_back(ownedMemory(backend_, backend_.allocate(static_cast<size_t>(left_))));
    next_ = static_cast<std::byte*>(owned_.back().get());
  }
  std::byte* target = next_;
  next_ += room;
  left_ -= room;
  for (int64_t first = 0; first < bytes; first += readBytes)
    waiting_.push_back({file,
                        offset + static_cast<uint64_t>(first),
                        {target + first, static_cast<size_t>(std::min(readBytes, bytes - first))}});
  waitingBytes_ += bytes;
  if (waitingBytes_ >= maxWaitingBytes) finish();
  return target;
}

void Copies::finish() {
  Failure failure(abort_);
  pool_.forEach(static_cast<int64_t>(waiting_.size()), [&](int64_t index, int) {
    const Range& range = waiting_[static_cast<size_t>(index)];
    failure.guard([&] { files_[range.file].read(range.offset, range.target); });
  });
  waiting_.clear();
  waitingBytes_ = 0;
  failure.rethrow();
}

}  // namespace rnd1
