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

/** Up to the end of a cache line, where what lies behind begins. */
constexpr int64_t wholeLines(int64_t bytes) { return (bytes + 63) / 64 * 64; }

/** Memory of a backend that goes back to it. */
using OwnedMemory = std::unique_ptr<void, std::function<void(void*)>>;

OwnedMemory ownedMemory(Backend& backend, void* memory);

/**
 * Ranges of files in memory of a backend, read by several threads. Ranges lie one behind the other in a few
 * large blocks, each on a cache line of its own.
 */
class Copies {
 public:
  /**
   * `expectedBytes`, of all ranges at most, bounds the size of blocks, which join `owned`. Throws Error
   * out_of_memory where `all` of that will be added and the system would not give it.
   */
  Copies(Backend& backend, const std::vector<File>& files, int64_t expectedBytes, bool all,
         std::vector<OwnedMemory>& owned, const AbortFlag& abort);

  /** Where `bytes` of a file from `offset` on will be after the next `finish`, or before. */
  std::byte* add(size_t file, uint64_t offset, int64_t bytes);

  /** Reads what was added. Throws Error io naming the file, and aborted. */
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
  int64_t left_ = 0;           // of it
  std::vector<Range> waiting_;
  int64_t waitingBytes_ = 0;
};

}  // namespace rnd1
