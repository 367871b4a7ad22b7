#include "io/mapping_guard.h"

#if defined(__linux__)

#include <signal.h>
#include <sys/mman.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstdint>
#include <mutex>

namespace rnd1 {

/** The handler may read it at any time: it changes by atomic stores, with an odd version meanwhile. */
struct MappingGuard::Range {
  std::atomic<uint32_t> version{0};
  std::atomic<uintptr_t> first{0}, end{0};
  std::atomic<bool> lost{false};
  Range* next = nullptr;
  bool used = false;  // guarded by the mutex

  void set(uintptr_t newFirst, uintptr_t newEnd) {
    ++version;
    first = newFirst;
    end = newEnd;
    ++version;
  }

  static std::atomic<Range*> all;
  static void handle(int signal, siginfo_t* info, void* context);
};

/** Ranges are reused, never freed: the handler may be reading them. */
std::atomic<MappingGuard::Range*> MappingGuard::Range::all{nullptr};

namespace {

using Action = struct sigaction;

std::mutex mutex;
int guards = 0;          // existing guards
bool installed = false;  // whether the handler is installed, or was until replaced
Action previous{};
const auto pageBytes = static_cast<uintptr_t>(::sysconf(_SC_PAGESIZE));

bool isDefaultOrIgnored(const Action& action) {
  return !(action.sa_flags & SA_SIGINFO) && (action.sa_handler == SIG_DFL || action.sa_handler == SIG_IGN);
}

void passOn(int signal, siginfo_t* info, void* context) {
  if (previous.sa_flags & SA_SIGINFO) return previous.sa_sigaction(signal, info, context);
  if (!isDefaultOrIgnored(previous)) return previous.sa_handler(signal);
  const bool sent = info->si_code <= 0;  // by a process, not a page fault
  if (sent && previous.sa_handler == SIG_IGN) return;
  Action byDefault{};
  byDefault.sa_handler = SIG_DFL;
  ::sigaction(signal, &byDefault, nullptr);
  // A page fault recurs when the handler returns; a sent signal must be sent again.
  if (sent) ::raise(signal);
}

void install(void (*handler)(int, siginfo_t*, void*)) {
  Action current{};
  ::sigaction(SIGBUS, nullptr, &current);
  // A later handler may call ours: calling it in turn would never end.
  if (installed && !isDefaultOrIgnored(current)) return;
  previous = current;
  Action own{};
  own.sa_sigaction = handler;
  own.sa_flags = SA_SIGINFO | SA_ONSTACK | (current.sa_flags & SA_NODEFER);
  own.sa_mask = current.sa_mask;
  installed = ::sigaction(SIGBUS, &own, nullptr) == 0;
}

void uninstall(void (*handler)(int, siginfo_t*, void*)) {
  Action current{};
  ::sigaction(SIGBUS, nullptr, &current);
  if (!(current.sa_flags & SA_SIGINFO) || current.sa_sigaction != handler) return;
  ::sigaction(SIGBUS, &previous, nullptr);
  installed = false;
}

}  // namespace

/** Makes system calls only, and takes no lock. */
void MappingGuard::Range::handle(int signal, siginfo_t* info, void* context) {
  const auto address = reinterpret_cast<uintptr_t>(info->si_addr);
  for (Range* range = info->si_code > 0 ? all.load() : nullptr; range; range = range->next) {
    const uint32_t version = range->version;
    const uintptr_t first = range->first, end = range->end;
    if (version % 2 != 0 || version != range->version || address < first || address >= end) continue;
    // Replaces all later pages too: they are probably lost as well, and the weights are useless anyway.
    const uintptr_t page = address / pageBytes * pageBytes;
    const int error = errno;
    void* zeros = ::mmap(reinterpret_cast<void*>(page), end - page, PROT_READ,
                         MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED | MAP_NORESERVE, -1, 0);
    errno = error;
    if (zeros == MAP_FAILED) break;
    range->lost = true;
    return;
  }
  passOn(signal, info, context);
}

MappingGuard::MappingGuard(void* memory, size_t size) {
  const std::lock_guard lock(mutex);
  for (range_ = Range::all; range_ && range_->used;) range_ = range_->next;
  if (!range_) {
    range_ = new Range;
    range_->next = Range::all;
    Range::all = range_;
  }
  range_->used = true;
  range_->lost = false;
  const auto first = reinterpret_cast<uintptr_t>(memory);
  range_->set(first, first + size);
  if (++guards == 1) install(&Range::handle);
}

MappingGuard::~MappingGuard() {
  const std::lock_guard lock(mutex);
  range_->set(0, 0);
  range_->used = false;
  if (--guards == 0) uninstall(&Range::handle);
}

bool MappingGuard::lost() const noexcept { return range_->lost; }

}  // namespace rnd1

#else

namespace rnd1 {

MappingGuard::MappingGuard(void*, size_t) {}
MappingGuard::~MappingGuard() = default;
bool MappingGuard::lost() const noexcept { return false; }

}  // namespace rnd1

#endif
