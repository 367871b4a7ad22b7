// Files that are truncated while mapped.
#include <filesystem>
#include <string>

#include "backend/registry.h"
#include "core/error.h"
#include "io/mapped_file.h"
#include "tiny_model.h"

#if defined(__linux__)

#include <sys/mman.h>

#include <csetjmp>
#include <csignal>

namespace rnd1::test {
namespace {

constexpr size_t size = 64 * 1024;

std::vector<std::byte> ones() { return std::vector<std::byte>(size, std::byte{1}); }

using Action = struct sigaction;

Action currentAction() {
  Action action{};
  ::sigaction(SIGBUS, nullptr, &action);
  return action;
}

bool same(const Action& left, const Action& right) {
  return (left.sa_flags & SA_SIGINFO) == (right.sa_flags & SA_SIGINFO) &&
         left.sa_sigaction == right.sa_sigaction;
}

/** The error of a changed file; empty if it is intact. */
std::string complaint(const MappedFile& file) {
  try {
    file.checkIntact();
  } catch (const Error& error) {
    expect(error.code() == ErrorCode::io, "code");
    return error.what();
  }
  return "";
}

/** Through a volatile, so that the read is not optimised away. */
int readAt(const std::byte* bytes, size_t index) {
  return static_cast<int>(*const_cast<const volatile std::byte*>(bytes + index));
}

void cutFilesGiveZeros() {
  const TemporaryFile file(ones()), other(ones());
  const MappedFile mapped(file.path()), whole(other.path());
  expectEqual(complaint(mapped), "", "before");
  std::filesystem::resize_file(file.path(), 5000);
  expectEqual(readAt(mapped.bytes().data(), 0), 1, "what is left");
  expectEqual(readAt(mapped.bytes().data(), size - 1), 0, "what is gone");
  expectEqual(readAt(mapped.bytes().data(), size / 2), 0, "what is gone, before it");
  expect(complaint(mapped).find(file.path() + " was cut from 65536 to 5000") == 0, complaint(mapped));
  std::filesystem::resize_file(file.path(), size);
  expect(complaint(mapped).find(file.path()) == 0, "long again, it is forgiven");
  expectEqual(complaint(whole), "", "another file");
  expectEqual(readAt(whole.bytes().data(), size - 1), 1, "content of another file");
}

/** A truncation that is only checked after the file has its length again. */
void lossIsRemembered() {
  const TemporaryFile file(ones());
  const MappedFile mapped(file.path());
  std::filesystem::resize_file(file.path(), 0);
  expectEqual(readAt(mapped.bytes().data(), size / 2), 0, "what is gone");
  std::filesystem::resize_file(file.path(), size);
  expect(complaint(mapped).find("could not be read") != std::string::npos, complaint(mapped));
}

sigjmp_buf back;
const void* signalled = nullptr;
int plainSignals = 0;

void jump(int, siginfo_t* info, void*) {
  signalled = info->si_addr;
  ::siglongjmp(back, 1);
}

void countPlain(int) { ++plainSignals; }

void othersGetTheirs() {
  const Action original = currentAction();
  Action own{};
  own.sa_sigaction = jump;
  own.sa_flags = SA_SIGINFO;
  ::sigaction(SIGBUS, &own, nullptr);
  {
    const TemporaryFile file(ones()), foreign(ones());
    const MappedFile mapped(file.path());
    // A mapping without a guard.
    const File opened(foreign.path(), File::Mode::read);
    void* memory = ::mmap(nullptr, size, PROT_READ, MAP_SHARED, opened.descriptor(), 0);
    std::filesystem::resize_file(foreign.path(), 0);
    std::filesystem::resize_file(file.path(), 0);
    signalled = nullptr;
    if (::sigsetjmp(back, 1) == 0) {
      readAt(static_cast<const std::byte*>(memory), 8);
      fail("the read came through");
    }
    expect(signalled == static_cast<const std::byte*>(memory) + 8, "address");
    expectEqual(readAt(mapped.bytes().data(), 8), 0, "the guarded file, after it");
    ::munmap(memory, size);
  }
  expect(same(currentAction(), own), "the handler before is there again");

  Action plain{};
  plain.sa_handler = countPlain;
  ::sigaction(SIGBUS, &plain, nullptr);
  {
    const TemporaryFile file(ones());
    const MappedFile mapped(file.path());
    plainSignals = 0;
    ::raise(SIGBUS);
    expectEqual(plainSignals, 1, "a plain handler");
  }
  Action ignore{};
  ignore.sa_handler = SIG_IGN;
  ::sigaction(SIGBUS, &ignore, nullptr);
  {
    const TemporaryFile file(ones());
    const MappedFile mapped(file.path());
    ::raise(SIGBUS);
    std::filesystem::resize_file(file.path(), 0);
    expectEqual(readAt(mapped.bytes().data(), 8), 0, "where the signal is ignored");
  }
  ::sigaction(SIGBUS, &original, nullptr);
}

void handlerComesAndGoes() {
  const Action original = currentAction();
  const TemporaryFile file(ones());
  {
    std::optional<MappedFile> first;
    first.emplace(file.path());
    const Action ours = currentAction();
    expect(!same(ours, original), "no handler while a file is mapped");
    const MappedFile second(file.path());
    first.reset();
    expect(same(currentAction(), ours), "it went with the first of two");
    // A handler installed later stays.
    Action later{};
    later.sa_handler = countPlain;
    ::sigaction(SIGBUS, &later, nullptr);
  }
  expect(currentAction().sa_handler == countPlain, "a later handler is gone");
  ::sigaction(SIGBUS, &original, nullptr);
  { const MappedFile again(file.path()); }
  expect(same(currentAction(), original), "the original is not there again");
}

void modelsSurvive() {
  TinyModel tiny(61), untouched(62);
  const auto model = tiny.load(makeCpuBackend(DType::f32, 2));
  const auto other = untouched.load(makeCpuBackend(DType::f32, 2));
  const std::vector<std::vector<int32_t>> canvases{{3, 1, 4, 1, 5}};
  forward(*model, canvases);
  const std::string path = tiny.manifest().files[0];
  std::filesystem::resize_file(path, 100);
  const std::string said = expectThrows<Error>([&] { forward(*model, canvases); }, "forward");
  expect(said.find(path) != std::string::npos, said);
  StepCanvas canvas;
  const std::vector<int32_t> masked{1};
  const std::vector<uint8_t> eligible{1};
  std::vector<Score> scores(1);
  canvas.tokens = canvases[0];
  canvas.masked = masked;
  canvas.eligible = eligible;
  canvas.scores = scores;
  const AbortFlag never;
  expectThrows<Error>([&] { model->step({&canvas, 1}, never); }, "step");
  expect(!forward(*other, canvases).empty(), "another model");
}

const Tests mappingTests{
    {"mapped file: one that is cut gives zeros, and says so", cutFilesGiveZeros},
    {"mapped file: a loss is remembered", lossIsRemembered},
    {"mapped file: a SIGBUS of others goes to the handler before", othersGetTheirs},
    {"mapped file: the handler for SIGBUS comes and goes with the files", handlerComesAndGoes},
    {"mapped file: a model whose file is cut fails by name", modelsSurvive},
};

}  // namespace
}  // namespace rnd1::test

#endif
