#include "backend/cuda/cuda_backend.h"

#include <algorithm>
#include <bit>
#include <utility>

namespace rnd1::cuda {
namespace {

/** Rows of logits in memory at a time: at most 256 MiB. */
constexpr int64_t scoreChunkRows(int64_t vocabulary) {
  return std::max<int64_t>((int64_t{256} << 20) / 4 / std::max<int64_t>(vocabulary, 1), 16);
}

/** Rows of partial scores in memory at a time: at most 64 MiB. */
int64_t greedyChunkRows(int64_t vocabulary) {
  const auto rowBytes =
      greedyParts(std::max<int64_t>(vocabulary, 1)) * static_cast<int64_t>(sizeof(GreedyPartial));
  return std::max<int64_t>((int64_t{64} << 20) / rowBytes / 64 * 64, 64);
}

bool same(const Weight& a, const Weight& b) {
  return a.data == b.data && a.dtype == b.dtype && a.strideBytes == b.strideBytes;
}

bool same(const ExpertWeights& a, const ExpertWeights& b) {
  return same(a.gate, b.gate) && same(a.up, b.up) && same(a.down, b.down);
}

}  // namespace

Stream::Stream(int ordinal) {
  check(cudaSetDevice(ordinal), "choosing the GPU");
  check(cudaStreamCreateWithFlags(&stream_, cudaStreamNonBlocking), "creating a stream");
}

Stream::~Stream() { cudaStreamDestroy(stream_); }

CudaBackend::CudaBackend(DType dtype, int ordinal)
    : dtype_(dtype), ordinal_(ordinal), stream_(ordinal), arena_(stream_.get(), dtype) {
  cudaDeviceProp properties;
  check(cudaGetDeviceProperties(&properties, ordinal), "asking for the GPU's properties");
  name_ = properties.name;
  features_ = codeFeatures();
  early_ = features_.earlyLaunches;
  borders_.clusters = features_.clusters;
}

cudaStream_t CudaBackend::stream() {
  const cudaStream_t stream = streamOnly();
  if (const auto waiting = std::exchange(waiting_, std::nullopt))
    combine(stream, waiting->slots, waiting->out);
  return stream;
}

cudaStream_t CudaBackend::streamOnly() {
  check(cudaSetDevice(ordinal_), "choosing the GPU");
  earlyLaunches = early_;
  return stream_.get();
}

void* CudaBackend::allocate(size_t bytes) {
  beforeMemoryMoves();
  return allocateDevice(bytes).release();
}

void CudaBackend::release(void* memory) noexcept {
  if (!memory) return;
  waiting_.reset();
  cudaSetDevice(ordinal_);
  cudaStreamSynchronize(stream_.get());
  recordings_.clear();
  cudaFree(memory);
}

void* CudaBackend::allocateCache(size_t bytes) {
  stream();
  return allocateDevice(bytes).release();
}

void CudaBackend::releaseCache(void* memory) noexcept {
  if (!memory) return;
  cudaSetDevice(ordinal_);
  cudaStreamSynchronize(stream_.get());
  cudaFree(memory);
}

void CudaBackend::upload(void* destination, const void* host, size_t bytes) {
  if (bytes > 0)
    check(cudaMemcpyAsync(destination, host, bytes, cudaMemcpyHostToDevice, stream()), "copying to the GPU");
}

void CudaBackend::download(void* host, const void* source, size_t bytes) {
  if (bytes > 0)
    check(cudaMemcpyAsync(host, source, bytes, cudaMemcpyDeviceToHost, stream()), "copying from the GPU");
}

void CudaBackend::synchronize() { check(cudaStreamSynchronize(stream()), "running on the GPU"); }

void* CudaBackend::allocateHost(size_t bytes) {
  stream();
  void* memory = nullptr;
  check(cudaMallocHost(&memory, std::max<size_t>(bytes, 1)), "allocating page-locked memory");
  return memory;
}

void CudaBackend::releaseHost(void* memory) noexcept {
  if (!memory) return;
  cudaSetDevice(ordinal_);
  cudaStreamSynchronize(stream_.get());
  cudaFreeHost(memory);
}

int64_t CudaBackend::bucket(int64_t, int64_t max) const {
  // Rounds up to a multiple of a quarter of the next lower power of two: up to 25 % of a launch's blocks may
  // be idle.
  if (max < 2) return max;
  const int64_t below = static_cast<int64_t>(std::bit_floor(static_cast<uint64_t>(max - 1)));
  const int64_t step = std::max<int64_t>(below / 4, 1);
  return (max + step - 1) / step * step;
}

void CudaBackend::expectWeights(int64_t bytes, int64_t tensors) {
  stream();
  arena_.expect(bytes, tensors);
}

Weight CudaBackend::place(const Weight& mapped) {
  stream();
  return arena_.place(mapped);
}

void CudaBackend::beforeMemoryMoves() {
  if (recordings_.recording())
    throw Error(ErrorCode::cudaError,
                "recording a step: it has other shapes than in its first run, and needs more memory");
  // Memory to be freed may still be in use.
  synchronize();
  recordings_.clear();
}

template <typename T>
T* CudaBackend::grown(Scratch<T>& scratch, int64_t count) {
  if (count > scratch.capacity()) {
    beforeMemoryMoves();
    scratch.reserve(count);
  }
  return scratch.data();
}

TrainingOps* CudaBackend::training() {
  if (dtype_ != DType::f32) return nullptr;
  if (!training_) training_ = std::make_unique<CudaTraining>(*this);
  return training_.get();
}

void CudaBackend::reserve(const Limits& limits) {
  grown(products_, limits.rows * limits.expertsPerToken * limits.expertColumns);
  if (dtype_ != DType::f32 && limits.experts > 0)
    grown(routerPartials_, routerPieces(limits.innerColumns) * limits.rows * limits.experts);
  if (limits.scoredRows == 0) return;
  const int64_t rows = std::max(limits.rows, limits.scoredRows);
  grown(partials_, std::min(rows, greedyChunkRows(limits.vocabulary)) * greedyParts(limits.vocabulary));
  grown(keys_, 2 * rows);
  if (limits.filters)
    grown(logitsChunk_, std::min(rows, scoreChunkRows(limits.vocabulary)) * limits.vocabulary);
}

void CudaBackend::runSequence(const SequenceKey& key, const std::function<void()>& ops) {
  if (trace_.running()) {
    trace_.mark(stream());
    ops();
  } else {
    recordings_.run(stream(), key, ops);
  }
}

bool CudaBackend::setBorder(std::string_view name, int64_t value) {
  if (name == "early-launches") {
    beforeMemoryMoves();
    early_ = value != 0 && features_.earlyLaunches;
    return true;
  }
  if (name == "clusters") {
    beforeMemoryMoves();
    borders_.clusters = value != 0 && features_.clusters;
    return true;
  }
  int64_t* const border = name == "few-rows"           ? &borders_.fewRows
                          : name == "medium-rows"      ? &borders_.mediumRows
                          : name == "many-rows"        ? &borders_.manyRows
                          : name == "few-expert-rows"  ? &borders_.fewExpertRows
                          : name == "many-expert-rows" ? &borders_.manyExpertRows
                                                       : nullptr;
  if (!border) return false;
  beforeMemoryMoves();
  *border = value;
  return true;
}

Tensor CudaBackend::operand(Tensor x, bool mma, Scratch<uint16_t>& scratch) {
  if (!mma || x.dtype != DType::f32) return x;
  return cuda::narrow(stream(), dtype_, x, grown(scratch, x.rows * narrowStride(x.columns)));
}

Tensor CudaBackend::activatedIn(Tensor memory, bool mma) {
  if (!mma) return memory;
  Tensor activated = memory;
  activated.dtype = dtype_;
  activated.stride = narrowStride(memory.columns);
  if (activated.stride > memory.columns)
    activated.data = reinterpret_cast<float*>(grown(narrowActivated_, memory.rows * activated.stride));
  return activated;
}

void CudaBackend::embed(const int32_t* tokens, const Weight& table, Tensor out) {
  cuda::embed(stream(), tokens, table, out);
}

void CudaBackend::addRmsNorm(Tensor residual, const Tensor* delta, const Weight& scale, float epsilon,
                             Tensor out) {
  if (delta && waiting_ && waiting_->out.data == delta->data &&
      combinesWithNorm(waiting_->slots.products, residual)) {
    const auto waiting = std::exchange(waiting_, std::nullopt);
    combineRmsNorm(streamOnly(), dtype_, waiting->slots, residual, scale, epsilon, out);
    return;
  }
  cuda::addRmsNorm(stream(), dtype_, residual, delta, scale, epsilon, out);
}

void CudaBackend::matmul(Tensor x, std::span<const Weight> weights, Tensor out) {
  if (trace_.running()) trace_.context = std::to_string(out.columns) + " x " + std::to_string(x.columns);
  cuda::matmul(stream(), dtype_, borders_, operand(x, suitMma(dtype_, weights), narrowX_), weights, out);
  trace_.context.clear();
}

void CudaBackend::normRope(Tensor qkv, const HeadLayout& layout, const HeadNorms& norms,
                           const int32_t* positions, Tensor rotary, Tensor out) {
  cuda::normRope(stream(), dtype_, qkv, layout, norms, positions, rotary, out);
}

void CudaBackend::cacheKeys(Tensor key, Tensor value, CanvasOffsets canvases, const int32_t* positions,
                            const LayerCaches& caches) {
  cuda::cacheKeys(stream(), dtype_, key, value, canvases, positions, caches);
}

void CudaBackend::attention(Tensor query, Tensor key, Tensor value, const HeadLayout& layout,
                            const AttentionRows& rows, AttentionMask mask, float scale, Tensor out,
                            float* logSumExp) {
  const bool mma = attentionSuitsMma(dtype_, layout.headDim);
  const AttentionArguments given{operand(query, mma, narrowQuery_),
                                 operand(key, mma, narrowKey_),
                                 operand(value, mma, narrowValue_),
                                 out,
                                 layout,
                                 rows,
                                 mask,
                                 scale,
                                 logSumExp};
  if (mma) {
    attentionMma(stream(), dtype_, given);
  } else {
    attentionAnyHead(stream(), dtype_, given);
  }
}

void CudaBackend::route(Tensor x, const Weight& router, const RouteOptions& options, Dispatch& dispatch) {
  checkRoute(options, router.rows);
  dispatch.rows = x.rows;
  dispatch.validRows = x.validRows;
  dispatch.experts = router.rows;
  dispatch.expertsPerToken = options.expertsPerToken;
  const bool mma = suitsMma(dtype_, router);
  const int64_t pieces = mma ? routerPieces(x.columns) : 0;
  float* const partials = mma ? grown(routerPartials_, pieces * x.rows * router.rows) : nullptr;
  if (mma) {
    routerLogits(stream(), dtype_, operand(x, mma, narrowX_), router, partials);
  } else {
    matmul(x, {&router, 1}, Tensor(dispatch.routerLogits, x.rows, router.rows));
  }
  selectExperts(stream(), options, dispatch, partials, pieces);
  groupByExpert(stream(), dispatch);
}

ExpertTable CudaBackend::tableOf(std::span<const ExpertWeights> weights) {
  CachedTable& cached = tables_[weights[0].gate.data];
  const bool known = std::equal(weights.begin(), weights.end(), cached.host.begin(), cached.host.end(),
                                [](const ExpertWeights& a, const ExpertWeights& b) { return same(a, b); });
  if (!known) {
    beforeMemoryMoves();
    cached.host.assign(weights.begin(), weights.end());
    cached.device.reserve(static_cast<int64_t>(cached.host.size()));
    upload(cached.device.data(), cached.host.data(), weights.size_bytes());
    // Of all experts' matrices of the given kinds.
    const auto formatOf = [&](std::initializer_list<Weight ExpertWeights::*> kinds) {
      const Weight& first = weights[0].*(*kinds.begin());
      const bool alike = std::all_of(weights.begin(), weights.end(), [&](const ExpertWeights& expert) {
        return std::all_of(kinds.begin(), kinds.end(), [&](auto kind) {
          return (expert.*kind).dtype == first.dtype && (expert.*kind).group == first.group;
        });
      });
      return alike && suitsMma(dtype_, first) ? first.dtype : DType::f32;
    };
    cached.table = {cached.device.data(), static_cast<int64_t>(weights.size()),
                    formatOf({&ExpertWeights::gate, &ExpertWeights::up}), formatOf({&ExpertWeights::down})};
  }
  return cached.table;
}

void CudaBackend::experts(Tensor x, std::span<const ExpertWeights> weights, const Dispatch& dispatch,
                          Tensor activated, Tensor out) {
  const ExpertTable table = tableOf(weights);
  const Tensor products(products_.data(), dispatch.rows * dispatch.expertsPerToken, out.columns);
  if (products.rows * products.columns > products_.capacity())
    throw Error(ErrorCode::invalidArgument, "the experts' output of " + std::to_string(products.rows) +
                                                " × " + std::to_string(products.columns) +
                                                " values exceeds the reserved " +
                                                std::to_string(products_.capacity()));
  const Tensor inner = activatedIn(activated, table.down != DType::f32);
  gateUp(stream(), dtype_, borders_, operand(x, table.gateUp != DType::f32, narrowX_), table, dispatch,
         inner);
  down(stream(), dtype_, borders_, inner, table, dispatch, products);
  // The norm that reads it mostly follows.
  waiting_ = {{products, dispatch}, out};
}

void CudaBackend::mlp(Tensor x, const ExpertWeights& weights, Tensor activated, Tensor out) {
  const ExpertTable table = tableOf({&weights, 1});
  const Tensor inner = activatedIn(activated, table.down != DType::f32).limitedTo(x.validRows, x.before);
  gateUp(stream(), dtype_, borders_, operand(x, table.gateUp != DType::f32, narrowX_), table, Dispatch(),
         inner);
  down(stream(), dtype_, borders_, inner, table, Dispatch(), out);
}

void CudaBackend::add(Tensor x, Tensor out) { cuda::add(stream(), x, out); }

void CudaBackend::gatherRows(Tensor x, const int32_t* rows, Tensor out) {
  cuda::gatherRows(stream(), x, rows, out);
}

void CudaBackend::logits(Tensor x, const Weight& lmHead, Tensor out) { matmul(x, {&lmHead, 1}, out); }

void CudaBackend::score(Tensor x, const Weight& lmHead, std::span<const ScoreRow> rows,
                        std::span<const SamplingPlan> plans, bool greedyUnfiltered, std::span<Score> scores) {
  const int64_t chunk = greedyUnfiltered ? greedyChunkRows(lmHead.rows) : scoreChunkRows(lmHead.rows);
  for (int64_t first = 0; first < x.rows; first += chunk) {
    const Tensor part = x.rowRange(first, std::min(chunk, x.rows - first));
    if (greedyUnfiltered) {
      const Tensor states = operand(part, suitsMma(dtype_, lmHead), narrowX_);
      scoreGreedy(stream(), dtype_, borders_.clusters, states, lmHead, rows.data() + first, plans.data(),
                  partials_.data(), scores.data() + first);
      continue;
    }
    const Tensor logits =
        Tensor(logitsChunk_.data(), part.rows, lmHead.rows).limitedTo(part.validRows, part.before);
    matmul(part, {&lmHead, 1}, logits);
    scoreRows(stream(), logits, false, rows.data() + first, plans.data(), scores.data() + first);
  }
}

void CudaBackend::scoreGuided(Tensor x, Tensor unconditional, const Weight& lmHead,
                              std::span<const ScoreRow> rows, std::span<const SamplingPlan> plans,
                              std::span<Score> scores) {
  const int64_t chunk = scoreChunkRows(lmHead.rows) / 2;
  for (int64_t first = 0; first < x.rows; first += chunk) {
    const int64_t count = std::min(chunk, x.rows - first);
    const auto product = [&](const Tensor& states, float* data) {
      const Tensor part = states.rowRange(first, count);
      const Tensor result = Tensor(data, count, lmHead.rows).limitedTo(part.validRows, part.before);
      matmul(part, {&lmHead, 1}, result);
      return result;
    };
    const Tensor logits = product(x, logitsChunk_.data());
    const Tensor others = product(unconditional, logitsChunk_.data() + count * lmHead.rows);
    guide(stream(), logits, others, rows.data() + first, plans.data());
    scoreRows(stream(), logits, false, rows.data() + first, plans.data(), scores.data() + first);
  }
}

void CudaBackend::scoreLogits(Tensor logits, std::span<const ScoreRow> rows,
                              std::span<const SamplingPlan> plans, std::span<Score> scores) {
  scoreRows(stream(), logits, true, rows.data(), plans.data(), scores.data());
}

void CudaBackend::unmask(std::span<const UnmaskCanvas> canvases, std::span<const ScoreRow> rows,
                         std::span<const uint8_t> eligible, std::span<Score> scores) {
  cuda::unmask(stream(), canvases.data(), static_cast<int64_t>(canvases.size()), rows.data(), eligible.data(),
               scores.data(), keys_.data());
}

Peaks CudaBackend::measurePeaks(double effort) {
  cudaDeviceProp properties;
  check(cudaGetDeviceProperties(&properties, ordinal_), "asking for the GPU's properties");
  return cuda::measurePeaks(stream(), dtype_, properties.multiProcessorCount, effort);
}

}  // namespace rnd1::cuda
