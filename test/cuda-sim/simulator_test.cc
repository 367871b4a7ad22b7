// The simulator must detect the errors it exists for.
#include <sys/wait.h>
#include <unistd.h>

#include "cuda_runtime.h"
#include "harness.h"

namespace rnd1::test {
namespace {

constexpr unsigned threads = 64;

float* shared() { return reinterpret_cast<float*>(sim::builtins.shared); }

/** Memory of the device for a few floats. */
struct DeviceFloats {
  explicit DeviceFloats(size_t count)
      : data(static_cast<float*>(sim::allocateDevice(count * sizeof(float)))) {}
  ~DeviceFloats() { sim::releaseDevice(data); }
  float* data;
};

void run(const std::function<void()>& kernel, size_t sharedFloats = threads) {
  sim::run({{1, 1, 1}, {threads, 1, 1}, sharedFloats * sizeof(float)}, kernel);
}

/** Whether values of neighbouring threads arrive, in many thread orders. */
bool passesOn(bool wait) {
  bool good = true;
  for (uint64_t seed = 0; seed < 20; ++seed) {
    sim::setSeed(seed);
    run([&] {
      const unsigned own = threadIdx.x;
      shared()[own] = static_cast<float>(own);
      if (wait) __syncthreads();
      if (shared()[(own + 1) % threads] != static_cast<float>((own + 1) % threads)) good = false;
    });
  }
  return good;
}

void barriers() {
  expect(passesOn(true), "a barrier");
  expect(!passesOn(false), "a missing barrier goes unnoticed");
}

void bounds() {
  const DeviceFloats given(64);
  run([&] { given.data[threadIdx.x] = 1; });
  const auto beyond = expectThrows<sim::Failure>([&] { run([&] { given.data[threadIdx.x + 1] = 1; }); },
                                                 "an access behind device memory");
  expect(beyond.find("out of bounds") != std::string::npos, beyond);
  expect(beyond.find("thread (63, 0, 0)") != std::string::npos, beyond);
  expectThrows<sim::Failure>([] { run([] { shared()[threadIdx.x] = 1; }, threads - 4); },
                             "an access behind shared memory");
}

/** In a process of its own, which it ends: whether the host may read device memory. */
bool hostMayRead(const float* memory) {
  const pid_t child = fork();
  if (child == 0) {
    close(STDERR_FILENO);
    const volatile float value = *memory;
    _exit(value == 1 ? 0 : 1);
  }
  int status = 0;
  waitpid(child, &status, 0);
  return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

void hosts() {
  const DeviceFloats given(64), untouched(64);
  run([&] { given.data[threadIdx.x] = 1; });
  expect(!hostMayRead(given.data), "the host reads what a kernel has touched");
  const sim::DeviceAccess access;
  untouched.data[0] = 1;
  expect(hostMayRead(given.data), "given access, it may");
  expect(hostMayRead(untouched.data), "and again");
}

/** A kernel that may begin before the one before it has ended. */
void runEarly(const std::function<void()>& kernel) {
  sim::run({{2, 1, 1}, {threads, 1, 1}, threads * sizeof(float), true}, kernel);
}

void earlyKernels() {
  const DeviceFloats given(threads), constant(4);
  run([&] { given.data[threadIdx.x] = constant.data[threadIdx.x % 4] = 1; });
  const auto failureOf = [](const std::function<void()>& kernel, const char* what) {
    return expectThrows<sim::Failure>([&] { runEarly(kernel); }, what);
  };
  const auto early = failureOf(
      [&] {
        shared()[threadIdx.x] = given.data[threadIdx.x];
        sim::awaitPredecessors();
      },
      "a read before predecessors were awaited");
  expect(early.find("before predecessors were awaited") != std::string::npos, early);
  const auto some = failureOf(
      [&] {
        if (threadIdx.x % 2 == 0) sim::awaitPredecessors();
        given.data[threadIdx.x] = 2;
        sim::awaitPredecessors();
      },
      "a write of threads that have not awaited them");
  expect(some.find("before predecessors were awaited") != std::string::npos, some);
  const auto never = failureOf([] { shared()[threadIdx.x] = 1; }, "a kernel that does not await them");
  expect(never.find("returned without awaiting") != std::string::npos, never);
  const auto copied = failureOf(
      [&] {
        if (threadIdx.x == 0) sim::copyAsync(shared(), constant.data, 16, 16);
        sim::awaitPredecessors();
      },
      "a copy of what they may write");
  expect(copied.find("may still write") != std::string::npos, copied);

  bool right = true;
  runEarly([&] {
    if (threadIdx.x == 0) sim::copyAsync(shared(), constant.data, 16, 16, true);
    sim::commitCopies();
    sim::awaitPredecessors();
    sim::waitCopies(0);
    __syncthreads();
    right = right && shared()[3] == 1;
    given.data[threadIdx.x] += 1;
  });
  expect(right, "constant memory copied early");
  run([&] { right = right && given.data[threadIdx.x] == 3; });
  expect(right, "what two early blocks wrote");
}

void alignment() {
  const DeviceFloats given(threads);
  run([&] { given.data[threadIdx.x] = 1; });
  const auto load = [&](size_t first) {
    run([&, first] { shared()[threadIdx.x] = reinterpret_cast<const float4*>(given.data + first)->x; });
  };
  load(4);
  const auto message = expectThrows<sim::Failure>([&] { load(5); }, "four floats from the middle of others");
  expect(message.find("misaligned") != std::string::npos, message);
}

void deadlocks() {
  expectThrows<sim::Failure>(
      [] {
        run([] {
          if (threadIdx.x < 32) {
            __syncthreads();
          } else {
            __syncwarp();
            while (threadIdx.x == 40) __shfl_xor_sync(~0u, 1, 1);
          }
        });
      },
      "threads that wait for others that do not come");
}

void collectives() {
  run([] {
    const auto lane = static_cast<int>(threadIdx.x % 32);
    if (__shfl_xor_sync(~0u, lane, 3) != (lane ^ 3)) shared()[threads] = 0;
    if (__ballot_sync(~0u, lane % 2 == 0) != 0x55555555u) shared()[threads] = 0;
  });
  expectThrows<sim::Failure>(
      [] {
        run([] {
          if (threadIdx.x % 2 == 0) __shfl_xor_sync(0x55555555u, 1, 1);
        });
      },
      "a mask that is not the whole warp");
  expectThrows<sim::Failure>(
      [] {
        run([] {
          if (threadIdx.x % 32 == 5) return;
          __syncwarp();
        });
      },
      "a collective after a lane has returned");
}

/** Whether a copy into shared memory has arrived. */
bool arrives(bool wait) {
  const DeviceFloats given(4);
  bool there = true;
  run([&] {
    if (threadIdx.x != 0) return;
    for (int i = 0; i < 4; ++i) given.data[i] = 7;
    sim::copyAsync(shared(), given.data, 16, 16);
    sim::commitCopies();
    if (wait) sim::waitCopies(0);
    there = shared()[3] == 7;
  });
  return there;
}

void copies() {
  expect(arrives(true), "a copy that is waited for");
  expect(!arrives(false), "a copy that is not waited for goes unnoticed");
}

void streams() {
  cudaStream_t stream = nullptr;
  cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking);
  void* host = nullptr;
  cudaMallocHost(&host, 4);
  const DeviceFloats device(1);
  *static_cast<float*>(host) = 1;
  cudaMemcpyAsync(device.data, host, 4, cudaMemcpyHostToDevice, stream);
  float result = 0;
  cudaMemcpyAsync(&result, device.data, 4, cudaMemcpyDeviceToHost, stream);
  expectEqual(result, 1.0f, "what was copied there and back");
  cudaMemcpyAsync(device.data, host, 4, cudaMemcpyHostToDevice, stream);
  *static_cast<float*>(host) = 2;  // too early: the copy has not been waited for
  expectThrows<sim::Failure>([&] { cudaStreamSynchronize(stream); },
                             "page-locked memory changed under a copy");
  cudaFreeHost(host);
  cudaStreamDestroy(stream);
}

const Tests simulatorTests{
    {"simulator: a missing barrier shows", barriers},
    {"simulator: an access out of bounds is caught", bounds},
    {"simulator: a vector that is not aligned is caught", alignment},
    {"simulator: device memory is closed to the host", hosts},
    {"simulator: a deadlock is caught", deadlocks},
    {"simulator: warps meet as a whole", collectives},
    {"simulator: kernels that begin early await the ones before", earlyKernels},
    {"simulator: asynchronous copies come when they are waited for", copies},
    {"simulator: work of a stream happens when it is waited for", streams},
};

}  // namespace
}  // namespace rnd1::test
