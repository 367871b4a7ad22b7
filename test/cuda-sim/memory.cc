// Memory between inaccessible pages; device memory is itself inaccessible most of the time.
#include "memory.h"

#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <map>
#include <mutex>

#include "simulator.h"

namespace sim {
namespace {

struct Allocation {
  std::byte* base = nullptr;  // start of the mapping, guard pages included
  size_t pages = 0;           // accessible pages in the middle
  size_t bytes = 0;
};

size_t pageBytes() {
  static const auto bytes = static_cast<size_t>(sysconf(_SC_PAGESIZE));
  return bytes;
}

/** Guards device memory and its bookkeeping. */
std::recursive_mutex device;
std::map<void*, Allocation> allocations;
size_t bytesInUse = 0;
int accessDepth = 0;

void protect(const Allocation& allocation, int protection) {
  mprotect(allocation.base + pageBytes(), allocation.pages * pageBytes(), protection);
}

std::pair<std::byte*, Allocation> mapGuarded(size_t bytes) {
  const size_t rounded = std::max<size_t>((bytes + 15) / 16 * 16, 16);
  Allocation allocation;
  allocation.bytes = bytes;
  allocation.pages = (rounded + pageBytes() - 1) / pageBytes();
  void* base = mmap(nullptr, (allocation.pages + 2) * pageBytes(), PROT_NONE,
                    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (base == MAP_FAILED) return {nullptr, {}};
  allocation.base = static_cast<std::byte*>(base);
  protect(allocation, PROT_READ | PROT_WRITE);
  std::byte* end = allocation.base + (allocation.pages + 1) * pageBytes();
  return {end - rounded, allocation};
}

void unmap(const Allocation& allocation) { munmap(allocation.base, (allocation.pages + 2) * pageBytes()); }

}  // namespace

std::byte* guardedMemory(size_t bytes) { return mapGuarded(bytes).first; }

void* allocateDevice(size_t bytes) {
  const std::lock_guard lock(device);
  const auto [data, allocation] = mapGuarded(bytes);
  if (!data) return nullptr;
  std::memset(data, 0xff, bytes);
  if (accessDepth == 0) protect(allocation, PROT_NONE);
  allocations[data] = allocation;
  bytesInUse += bytes;
  return data;
}

void releaseDevice(void* memory) {
  const std::lock_guard lock(device);
  const auto found = allocations.find(memory);
  if (found == allocations.end()) throw Failure("cudaFree of memory that was not allocated");
  bytesInUse -= found->second.bytes;
  unmap(found->second);
  allocations.erase(found);
}

size_t deviceBytesInUse() {
  const std::lock_guard lock(device);
  return bytesInUse;
}

DeviceAccess::DeviceAccess() {
  device.lock();
  if (accessDepth++ == 0)
    for (const auto& [data, allocation] : allocations) protect(allocation, PROT_READ | PROT_WRITE);
}

DeviceAccess::~DeviceAccess() {
  if (--accessDepth == 0)
    for (const auto& [data, allocation] : allocations) protect(allocation, PROT_NONE);
  device.unlock();
}

}  // namespace sim
