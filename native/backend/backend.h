#pragma once

#include <compare>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "backend/ops.h"
#include "backend/training_ops.h"
#include "core/dtype.h"
#include "core/tensor.h"

namespace rnd1 {

/** Upper bounds of the shapes that ops get until the next `reserve`. */
struct Limits {
  int64_t rows = 0;  // packed rows
  int64_t scoredRows = 0;
  int64_t innerColumns = 0;  // longest dot product
  int64_t headDim = 0;
  int64_t biasColumns = 0;  // of the bias of queries, keys and values
  int64_t experts = 0;
  int64_t expertWidth = 0;
  int64_t expertColumns = 0;  // output columns of experts: rows of `down`
  int64_t expertsPerToken = 0;
  int64_t vocabulary = 0;
  bool filters = false;  // whether complete rows of logits are needed: top-k, top-p, draws, guidance
};

/** Identifies a sequence of ops: equal keys mean the same calls with the same arguments, unless memory
 * moved. */
struct SequenceKey {
  int64_t rows = 0;
  int64_t canvases = 0;
  bool filters = false;
  bool guided = false;
  int32_t block = -1;  // of the attention mask; −1: the layers' own
  bool cached = false;
  auto operator<=>(const SequenceKey&) const = default;
};

/** One kernel launch and its time on the device, queueing included. */
struct TracedLaunch {
  std::string name;  // "experts (down)", "matmul 5120 x 2048"
  double seconds = 0;
};

/** Peak rates of a device, to which benchmarks compare ops. */
struct Peaks {
  double copyBytesPerSecond = 0;          // bytes read plus bytes written; buffers far larger than the caches
  double matrixOperationsPerSecond = 0;   // a multiply-add is two; operands in registers; the instructions of
                                          // matmuls in this compute dtype
  double integerOperationsPerSecond = 0;  // the same with int8 operands (quantized weights); 0: unsupported
};

/** A device: its memory, the weights placed there, sequences of ops, and the ops themselves. */
class Backend : public Ops {
 public:
  virtual std::string device() const = 0;          // "cpu", "cuda:0"
  virtual std::string instructionSet() const = 0;  // "avx2"; the GPU's name
  virtual int threads() const = 0;
  virtual DType dtype() const = 0;  // the compute dtype
  /** Of the tensors that feed matmuls and attention: f32, or the 16-bit compute dtype if ops accept both. */
  virtual DType activationDtype() const { return DType::f32; }

  // Memory. `allocate` returns 64-byte aligned memory or throws out_of_memory; `release` accepts null.
  virtual void* allocate(size_t bytes) = 0;
  virtual void release(void* memory) noexcept = 0;
  /**
   * Memory of key/value caches, which ops reach through uploaded tables only: unlike `allocate` and
   * `release`, these keep what `runSequence` has recorded.
   */
  virtual void* allocateCache(size_t bytes) { return allocate(bytes); }
  virtual void releaseCache(void* memory) noexcept { release(memory); }
  virtual void upload(void* destination, const void* host, size_t bytes) = 0;
  virtual void download(void* host, const void* source, size_t bytes) = 0;
  virtual void synchronize() = 0;

  /**
   * Host memory for fast copies to and from the backend (page-locked on GPUs). `releaseHost` accepts null.
   */
  virtual void* allocateHost(size_t bytes) = 0;
  virtual void releaseHost(void* memory) noexcept = 0;

  /** Announces the total that `place` will get; throws out_of_memory, naming bytes wanted and free, if it
   * does not fit. */
  virtual void expectWeights(int64_t bytes, int64_t tensors) = 0;

  /** Whether `place` copies the weight, so that its source may be freed afterwards. */
  virtual bool copiesOnPlace() const = 0;

  /** Makes a mapped weight usable by this backend: in place on the CPU, copied into the arena on a GPU. */
  virtual Weight place(const Weight& mapped) = 0;

  /** Sizes the scratch memory; may grow it at any time outside a step. */
  virtual void reserve(const Limits& limits) = 0;

  /** The ops of training; null if this backend has none, or not in its compute dtype. */
  virtual TrainingOps* training() { return nullptr; }

  /**
   * The number of rows or canvases to call ops with for `count` (at most `max`) real ones. Backends that
   * record steps round it up, so that many counts share one recording; Tensor::validRows or empty canvases
   * cover the excess. Others return `count`. Never less than `count`; bucket(n, n) ≥ bucket(m, n) for m ≤ n.
   */
  virtual int64_t bucket(int64_t count, int64_t max) const = 0;

  /**
   * Runs `ops`, a sequence of op calls without host memory arguments. As long as nothing is allocated or
   * released, the same key promises the same calls with the same arguments, so a backend may record them once
   * and replay them without calling `ops`.
   */
  virtual void runSequence(const SequenceKey&, const std::function<void()>& ops) { ops(); }

  /** Starts timing the launches of this thread; sequences are not recorded meanwhile. */
  virtual void startTrace() {}
  /**
   * Waits for the launches since `startTrace` and returns them in order; empty if the backend cannot trace.
   */
  virtual std::vector<TracedLaunch> finishTrace() { return {}; }

  /**
   * Sets a threshold between two implementations with bit-identical results, or 0 or 1 for a switch, by its
   * name in docs/kernels.md; false: unknown here. For benchmarks.
   */
  virtual bool setBorder(std::string_view /*name*/, int64_t /*value*/) { return false; }

  /**
   * Measures this device, which must be idle; allocates memory temporarily. `effort` 1 takes about a second;
   * time, memory and accuracy decrease with it.
   */
  virtual Peaks measurePeaks(double effort) = 0;
};

}  // namespace rnd1
