// Memory between inaccessible pages; device memory is itself inaccessible but to work of the device, and then
// opened when it is first touched: most of a model is not touched between two waits.
#include "memory.h"

#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <map>
#include <mutex>
#include <thread>
#include <vector>

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
std::thread::id accessing;
bool denied = false;
/** What has been touched since access was granted; room for all is made when they are allocated. */
std::vector<const Allocation*> opened;

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
  protect(allocation, PROT_NONE);
  allocations[data] = allocation;
  opened.reserve(allocations.size());
  bytesInUse += bytes;
  return data;
}

void releaseDevice(void* memory) {
  const std::lock_guard lock(device);
  const auto found = allocations.find(memory);
  if (found == allocations.end()) throw Failure("cudaFree of memory that was not allocated");
  bytesInUse -= found->second.bytes;
  std::erase(opened, &found->second);
  unmap(found->second);
  allocations.erase(found);
}

size_t deviceBytesInUse() {
  const std::lock_guard lock(device);
  return bytesInUse;
}

bool openTouched(void* address) {
  if (denied || accessing != std::this_thread::get_id()) return false;
  // Pointers of allocations are those of their data, which is not where their pages begin.
  auto next = allocations.upper_bound(address);
  const auto holds = [&](const Allocation& allocation) {
    const std::byte* begin = allocation.base + pageBytes();
    return address >= begin && address < begin + allocation.pages * pageBytes();
  };
  if (next == allocations.end() || !holds(next->second)) {
    if (next == allocations.begin() || !holds((--next)->second)) return false;
  }
  if (std::ranges::find(opened, &next->second) != opened.end()) return false;
  protect(next->second, PROT_READ | PROT_WRITE);
  opened.push_back(&next->second);
  return true;
}

void denyAccess(bool deny) {
  denied = deny;
  if (!denied) return;
  for (const Allocation* allocation : opened) protect(*allocation, PROT_NONE);
  opened.clear();
}

DeviceAccess::DeviceAccess() {
  device.lock();
  if (accessDepth++ == 0) {
    catchFaults();
    accessing = std::this_thread::get_id();
  }
}

DeviceAccess::~DeviceAccess() {
  if (--accessDepth == 0) {
    for (const Allocation* allocation : opened) protect(*allocation, PROT_NONE);
    opened.clear();
    accessing = {};
  }
  device.unlock();
}

}  // namespace sim
