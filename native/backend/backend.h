#pragma once

#include <compare>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "backend/ops.h"
#include "core/dtype.h"
#include "core/tensor.h"

namespace rnd1 {

/** The largest shapes that ops will see until the next `reserve`. */
struct Limits {
  int64_t rows = 0;  // packed rows
  int64_t scoredRows = 0;
  int64_t innerColumns = 0;  // longest dot product
  int64_t headDim = 0;
  int64_t experts = 0;
  int64_t expertWidth = 0;
  int64_t expertColumns = 0;  // of what experts give: down's rows
  int64_t expertsPerToken = 0;
  int64_t vocabulary = 0;
  bool filters = false;  // top-k, top-p or draws
};

/** What makes two sequences of ops the same calls with the same arguments, memory being the same. */
struct SequenceKey {
  int64_t rows = 0;
  int64_t canvases = 0;
  bool filters = false;
  auto operator<=>(const SequenceKey&) const = default;
};

/** One launch of a kernel, and how long the device was at it, the wait for its turn included. */
struct TracedLaunch {
  std::string name;  // "experts (down)", "matmul 5120 x 2048"
  double seconds = 0;
};

/** What a device reaches at best: the limits that benches compare ops with. */
struct Peaks {
  double copyBytesPerSecond = 0;         // bytes read and bytes written, of memory far larger than the caches
  double matrixOperationsPerSecond = 0;  // a multiply-add is two; from registers, with the instructions that
                                         // matmuls in this compute dtype use
  double integerOperationsPerSecond = 0;  // the same of bytes, for quantized weights; 0 where there are none
};

/** A device: its memory, the weights placed there, sequences of ops, and the ops themselves. */
class Backend : public Ops {
 public:
  virtual std::string device() const = 0;          // "cpu", "cuda:0"
  virtual std::string instructionSet() const = 0;  // "avx2"; the GPU's name
  virtual int threads() const = 0;
  virtual DType dtype() const = 0;  // the compute dtype

  // Memory. `allocate` gives 64-byte aligned memory and throws out_of_memory; `release` takes null.
  virtual void* allocate(size_t bytes) = 0;
  virtual void release(void* memory) noexcept = 0;
  virtual void upload(void* destination, const void* host, size_t bytes) = 0;
  virtual void download(void* host, const void* source, size_t bytes) = 0;
  virtual void synchronize() = 0;

  /** Memory of the host that copies from and to the backend are fastest with. `releaseHost` takes null. */
  virtual void* allocateHost(size_t bytes) = 0;
  virtual void releaseHost(void* memory) noexcept = 0;

  /** What `place` will be given in all; throws out_of_memory, naming bytes wanted and free, if it cannot
   * hold. */
  virtual void expectWeights(int64_t bytes, int64_t tensors) = 0;

  /** Whether ops take weights in this format. */
  virtual bool accepts(DType format) const = 0;

  /** Whether `place` copies, so that the memory it was given is not needed afterwards. */
  virtual bool copiesOnPlace() const = 0;

  /** A mapped weight made usable by this backend: in place on the CPU, copied into the arena on a GPU. */
  virtual Weight place(const Weight& mapped) = 0;

  /** Sizes the scratch memory. Growing is allowed at any time outside a step. */
  virtual void reserve(const Limits& limits) = 0;

  /**
   * With how many rows or canvases ops should be called for `count` of `max` that there may be: the same
   * number serves many counts where steps are recorded, and Tensor::validRows or empty canvases make up for
   * it; elsewhere `count` itself. Never below it; bucket(n, n) ≥ bucket(m, n) for m ≤ n.
   */
  virtual int64_t bucket(int64_t count, int64_t max) const = 0;

  /**
   * Runs `ops`: calls of ops below, none of which takes host memory. The same key promises the same calls
   * with the same arguments as long as nothing was allocated or released, so that a backend may record them
   * once and replay them, without calling `ops`.
   */
  virtual void runSequence(const SequenceKey&, const std::function<void()>& ops) { ops(); }

  /** From here on launches of this thread are timed, and sequences are not recorded. */
  virtual void startTrace() {}
  /** The launches since `startTrace`, in order; waits for them. Empty where a backend has none. */
  virtual std::vector<TracedLaunch> finishTrace() { return {}; }

  /**
   * Moves a border between two ways to compute the same bits, by its name in docs/kernels.md; false: there is
   * no such border here. For measurements.
   */
  virtual bool setBorder(std::string_view /*name*/, int64_t /*value*/) { return false; }

  /**
   * Measures this device while nothing else uses it; takes memory for the time being. `effort` 1 takes about
   * a second; work and memory shrink in proportion, and with them how true the figures are.
   */
  virtual Peaks measurePeaks(double effort) = 0;
};

}  // namespace rnd1
