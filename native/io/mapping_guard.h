#pragma once

#include <cstddef>

namespace rnd1 {

/**
 * Watches a mapped file. Reading a page of a truncated file or failing disk would end the process by SIGBUS;
 * while a guard exists, such pages of its mapping read as zeros, and `lost` returns true.
 *
 * Linux only; elsewhere it does nothing. While guards exist, the process has one SIGBUS handler, which
 * forwards unrelated signals to the previous handler. A handler that is installed later and does not forward
 * signals disables the guards.
 */
class MappingGuard {
 public:
  /** Guards `size` bytes from `memory`, the start of a page. */
  MappingGuard(void* memory, size_t size);
  ~MappingGuard();
  MappingGuard(const MappingGuard&) = delete;
  MappingGuard& operator=(const MappingGuard&) = delete;

  /** True if earlier reads may have returned zeros. Thread-safe. */
  bool lost() const noexcept;

 private:
  struct Range;
  Range* range_ = nullptr;
};

}  // namespace rnd1
