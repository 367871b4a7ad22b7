#pragma once

#include <functional>
#include <memory>
#include <span>
#include <vector>

#include "backend/backend.h"
#include "core/abort.h"
#include "core/parallel.h"
#include "io/file.h"

namespace rnd1 {

/** Rounds up to whole cache lines. */
constexpr int64_t wholeLines(int64_t bytes) { return (bytes + 63) / 64 * 64; }

/** Backend memory, released on destruction. */
using OwnedMemory = std::unique_ptr<void, std::function<void(void*)>>;

OwnedMemory ownedMemory(Backend& backend, void* memory);

/**
 * Copies file ranges into backend memory, with several reader threads. Ranges are stored consecutively in a
 * few large blocks, each starting at a cache line.
 */
class Copies {
 public:
  /**
   * `expectedBytes`, the maximum of all ranges together, limits the size of blocks, which are added to
   * `owned`. `all`: that much will be added; throws Error out_of_memory if it cannot be allocated.
   */
  Copies(Backend& backend, const std::vector<File>& files, int64_t expectedBytes, bool all,
         std::vector<OwnedMemory>& owned, const AbortFlag& abort);

  /** Returns where `bytes` of a file from `offset` on will be, at the latest after the next `finish`. */
  std::byte* add(size_t file, uint64_t offset, int64_t bytes);

  /** Reads all pending ranges. Throws Error io naming the file, and aborted. */
  void finish();

 private:
  struct Range {
    size_t file;
    uint64_t offset;
    std::span<std::byte> target;
  };

  Backend& backend_;
  std::vector<OwnedMemory>& owned_;
  const AbortFlag& abort_;
  const std::vector<File>& files_;
  ThreadPool pool_;
  const int64_t blockBytes_;
  std::byte* next_ = nullptr;  // in the newest block
  int64_t left_ = 0;           // bytes left in the newest block
  std::vector<Range> waiting_;
  int64_t waitingBytes_ = 0;
};

}  // namespace rnd1
