#pragma once

#include <cstddef>

namespace rnd1 {

/**
 * Watches a mapped file. A page that cannot be read, because the file was cut short or the disk fails, would
 * end the process by SIGBUS; while a guard lives, such pages of its mapping give zeros instead, and `lost`
 * says so.
 *
 * On Linux alone; elsewhere it does nothing. The process has one handler for SIGBUS then, from the first
 * guard to the last, which passes on what does not concern a guard to the handler before it. A handler that
 * is installed later and does not pass signals on takes the guards' effect.
 */
class MappingGuard {
 public:
  /** Of `size` bytes from the start of a page. */
  MappingGuard(void* memory, size_t size);
  ~MappingGuard();
  MappingGuard(const MappingGuard&) = delete;
  MappingGuard& operator=(const MappingGuard&) = delete;

  /** From any thread. What was read before may have been zeros. */
  bool lost() const noexcept;

 private:
  struct Range;
  Range* range_ = nullptr;
};

}  // namespace rnd1
