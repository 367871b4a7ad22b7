#include "backend/cuda/training/cuda_training.h"

#include <algorithm>
#include <cstring>

#include "backend/cuda/cuda_backend.h"
#include "core/error.h"

namespace rnd1::cuda {
namespace {

/** Floats of logits in memory: 256 MiB. */
constexpr int64_t mostLogits = int64_t{64} << 20;

/** One expert's matrix as the weight of all rows. */
RowGroups denseOf(const Weight& weight) {
  RowGroups groups;
  groups.weight = weight;
  return groups;
}

const Weight& matrixOf(const ExpertWeights& expert, ExpertMatrix which) {
  return which == ExpertMatrix::gate ? expert.gate : which == ExpertMatrix::up ? expert.up : expert.down;
}

template <typename T>
bool sameBytes(const std::vector<T>& a, std::span<const T> b) {
  return a.size() == b.size() && std::memcmp(a.data(), b.data(), b.size_bytes()) == 0;
}

}  // namespace

cudaStream_t CudaTraining::stream() { return backend_.stream(); }

template <typename T>
T* CudaTraining::grown(Scratch<T>& scratch, int64_t count) {
  if (count > scratch.capacity()) {
    // What is freed may still be in use.
    backend_.synchronize();
    scratch.reserve(count);
  }
  return scratch.data();
}

template <typename T>
const T* CudaTraining::placed(Tables<T>& tables, const void* key, std::span<const T> values) {
  Table<T>& table = tables[key];
  if (!sameBytes(table.host, values)) {
    table.host.assign(values.begin(), values.end());
    backend_.upload(grown(table.device, static_cast<int64_t>(values.size())), table.host.data(),
                    values.size_bytes());
  }
  return table.device.data();
}

template <typename T>
void CudaTraining::fetch(T* host, const T* device, int64_t count) {
  backend_.download(host, device, static_cast<size_t>(count) * sizeof(T));
  backend_.synchronize();
}

void CudaTraining::copy(Tensor x, Tensor out) { copyRows(stream(), x, out); }

void CudaTraining::clear(std::span<float> values) {
  if (!values.empty()) check(cudaMemsetAsync(values.data(), 0, values.size_bytes(), stream()), "clearing");
}

void CudaTraining::accumulate(std::span<const float> values, std::span<float> sums) {
  addValues(stream(), values.data(), sums.data(), static_cast<int64_t>(sums.size()));
}

void CudaTraining::addVector(const float* vector, Tensor out) { addRows(stream(), vector, out); }

void CudaTraining::matmul(Tensor x, std::span<const Weight> weights, Tensor out) {
  backend_.matmul(x, weights, out);
}

void CudaTraining::addGradient(const WeightGradient& gradient) {
  const int64_t scratch = gradientScratch(gradient);
  addWeightGradient(stream(), gradient, scratch > 0 ? grown(partial_, scratch) : nullptr);
}

void CudaTraining::crossEntropy(Tensor x, const Weight& head, const ScoredRows& scored,
                                double* crossEntropies, Tensor* dx, float* dHead) {
  const int64_t rows = scored.count, vocabulary = head.rows;
  if (rows == 0) return;
  LogitStatistics statistics;
  statistics.blocks = blocksOf(vocabulary, statisticsBlock);
  const int64_t cells = sizeProduct(rows, statistics.blocks);
  statistics.maxima = grown(maxima_, cells + rows);
  statistics.targetLogits = statistics.maxima + cells;
  statistics.sums = grown(sums_, cells + rows);
  const int64_t fitting = std::max<int64_t>(mostLogits / rows / statisticsBlock, 1) * statisticsBlock;
  const int64_t width = std::min(fitting, vocabulary);
  const bool keeps = width == vocabulary;
  grown(logits_, sizeProduct(rows, width));
  const auto partOf = [&](int64_t first) {
    Weight part = head;
    part.rows = std::min(width, vocabulary - first);
    part.data += first * head.strideBytes;
    return part;
  };
  const auto logitsOf = [&](int64_t first) {
    const Weight part = partOf(first);
    const Tensor logits(logits_.data(), rows, part.rows);
    matmul(x, {&part, 1}, logits);
    return logits;
  };
  for (int64_t first = 0; first < vocabulary; first += width)
    logitStatistics(stream(), logitsOf(first), scored.targets, first, statistics);
  double* const found = statistics.sums + cells;
  cuda::crossEntropies(stream(), rows, statistics, found);
  for (int64_t first = 0; dx && first < vocabulary; first += width) {
    const Tensor logits = keeps ? Tensor(logits_.data(), rows, vocabulary) : logitsOf(first);
    logitGradients(stream(), logits, scored, first, statistics);
    multiplyRows(stream(), logits, nullptr, denseOf(partOf(first)), true, *dx, first > 0);
    if (!dHead) continue;
    WeightGradient gradient;
    gradient.dout = logits;
    gradient.x = x;
    gradient.packed = scored.rows;
    gradient.rows = scored.packedRows;
    gradient.steps = rows;
    gradient.out = dHead + first * head.columns;
    addGradient(gradient);
  }
  fetch(crossEntropies, found, rows);
}

void CudaTraining::rmsNormBackward(Tensor residual, const Weight& scale, float epsilon, Tensor dout,
                                   Tensor dresidual, float* dScale) {
  const int64_t blocks = blocksOf(residual.rows, normBlock);
  cuda::rmsNormBackward(stream(), residual, scale, epsilon, dout, dresidual, dScale,
                        grown(factors_, residual.rows),
                        grown(partial_, sizeProduct(blocks, residual.columns)));
}

void CudaTraining::matmulBackward(Tensor x, std::span<const Weight> weights, Tensor dout, Tensor* dx,
                                  bool adds, std::span<float* const> dWeights) {
  int64_t column = 0;
  for (size_t i = 0; i < weights.size(); column += weights[i++].rows) {
    const Tensor part = dout.columnRange(column, weights[i].rows);
    if (dx) multiplyRows(stream(), part, nullptr, denseOf(weights[i]), true, *dx, adds || i > 0);
    if (!dWeights[i]) continue;
    WeightGradient gradient;
    gradient.dout = part;
    gradient.x = x;
    gradient.rows = gradient.steps = x.rows;
    gradient.out = dWeights[i];
    addGradient(gradient);
  }
}

void CudaTraining::normRopeBackward(Tensor before, const HeadLayout& layout, const HeadNorms& norms,
                                    const int32_t* positions, Tensor rotary, Tensor dQkv,
                                    const HeadNormGradients& gradients) {
  const int64_t blocks = blocksOf(dQkv.rows, normBlock);
  cuda::normRopeBackward(stream(), before, layout, norms, positions, rotary, dQkv, gradients,
                         grown(factors_, sizeProduct(dQkv.rows, layout.heads + layout.keyValueHeads)),
                         grown(partial_, sizeProduct(blocks, sizeSum(2 * layout.headDim, dQkv.columns))));
}

void CudaTraining::attentionBackward(Tensor qkv, Tensor out, const float* logSumExp, Tensor dout,
                                     const HeadLayout& layout, CanvasOffsets canvases, AttentionMask mask,
                                     float scale, Tensor dQkv) {
  cuda::attentionBackward(stream(), qkv, out, logSumExp, dout, layout, canvases, mask, scale, dQkv,
                          grown(factors_, sizeProduct(qkv.rows, layout.heads)));
}

RowGroups CudaTraining::groupsOf(std::span<const ExpertWeights> weights, const Dispatch& dispatch,
                                 ExpertMatrix which) {
  RowGroups groups;
  groups.experts = placed(weightTables_, weights[0].gate.data, weights);
  groups.matrix = which;
  groups.weight = matrixOf(weights[0], which);
  groups.offsets = dispatch.offsets;
  groups.count = static_cast<int64_t>(weights.size());
  return groups;
}

SlotLists CudaTraining::listsOf(const Dispatch& dispatch) {
  const int64_t slots = sizeProduct(dispatch.rows, dispatch.expertsPerToken);
  const SlotLists lists{grown(slotRows_, slots), grown(slotFactors_, slots), grown(places_, slots)};
  listSlots(stream(), dispatch, lists);
  return lists;
}

void CudaTraining::experts(Tensor x, std::span<const ExpertWeights> weights, const Dispatch& dispatch,
                           Tensor gate, Tensor up, Tensor out) {
  const int64_t slots = dispatch.rows * dispatch.expertsPerToken, width = weights[0].gate.rows;
  const Tensor activated(grown(activated_, sizeProduct(slots, width)), slots, width);
  const Tensor products(grown(products_, sizeProduct(slots, out.columns)), slots, out.columns);
  const SlotLists lists = listsOf(dispatch);
  multiplyRows(stream(), x, lists.rows, groupsOf(weights, dispatch, ExpertMatrix::gate), false, gate, false);
  multiplyRows(stream(), x, lists.rows, groupsOf(weights, dispatch, ExpertMatrix::up), false, up, false);
  swiglu(stream(), gate, up, lists.factors, dispatch.offsets + dispatch.experts, activated);
  multiplyRows(stream(), activated, nullptr, groupsOf(weights, dispatch, ExpertMatrix::down), false, products,
               false);
  sumSlots(stream(), products, dispatch, lists.places, out, false);
}

void CudaTraining::mlp(Tensor x, const ExpertWeights& weights, Tensor gate, Tensor up, Tensor out) {
  const Tensor activated(grown(activated_, sizeProduct(gate.rows, gate.columns)), gate.rows, gate.columns);
  matmul(x, {&weights.gate, 1}, gate);
  matmul(x, {&weights.up, 1}, up);
  swiglu(stream(), gate, up, nullptr, nullptr, activated);
  matmul(activated, {&weights.down, 1}, out);
}

void CudaTraining::expertsBackward(Tensor x, std::span<const ExpertWeights> weights, const Dispatch& dispatch,
                                   Tensor gate, Tensor up, Tensor dout, Tensor dx, float* dRoutingWeights,
                                   std::span<const ExpertGradients> gradients) {
  const int64_t slots = dispatch.rows * dispatch.expertsPerToken, width = weights[0].gate.rows;
  // First dout · down, then factor · h.
  const Tensor weighted(grown(activated_, sizeProduct(slots, width)), slots, width);
  const Tensor products(grown(products_, sizeProduct(slots, dx.columns)), slots, dx.columns);
  const SlotLists lists = listsOf(dispatch);
  const auto multiply = [&](Tensor a, const int32_t* rows, ExpertMatrix which, Tensor to, bool accumulates) {
    multiplyRows(stream(), a, rows, groupsOf(weights, dispatch, which), true, to, accumulates);
  };
  clear({dRoutingWeights, static_cast<size_t>(slots)});
  multiply(dout, lists.rows, ExpertMatrix::down, weighted, false);
  swigluBackward(stream(), gate, up, weighted, lists.factors, dispatch.slots,
                 dispatch.offsets + dispatch.experts, dRoutingWeights);
  WeightGradient gradient;
  gradient.packed = lists.rows;
  gradient.rows = dispatch.rows;
  gradient.offsets = dispatch.offsets;
  gradient.groups = static_cast<int64_t>(weights.size());
  const ExpertGradients& first = gradients[0];
  const void* key = first.gate ? first.gate : first.up ? first.up : first.down;
  gradient.gradients = placed(gradientTables_, key, gradients);
  const auto add = [&](ExpertMatrix which, Tensor a, const int32_t* aRows, Tensor b, const int32_t* bRows) {
    gradient.matrix = which;
    gradient.dout = a;
    gradient.doutRows = aRows;
    gradient.x = b;
    gradient.xRows = bRows;
    addGradient(gradient);
  };
  add(ExpertMatrix::gate, gate, nullptr, x, lists.rows);
  add(ExpertMatrix::up, up, nullptr, x, lists.rows);
  add(ExpertMatrix::down, dout, lists.rows, weighted, nullptr);
  multiply(gate, nullptr, ExpertMatrix::gate, products, false);
  multiply(up, nullptr, ExpertMatrix::up, products, true);
  sumSlots(stream(), products, dispatch, lists.places, dx, true);
}

void CudaTraining::mlpBackward(Tensor x, const ExpertWeights& weights, Tensor gate, Tensor up, Tensor dout,
                               Tensor dx, const ExpertGradients& gradients) {
  const Tensor weighted(grown(activated_, sizeProduct(gate.rows, gate.columns)), gate.rows, gate.columns);
  Tensor weightedGradient = weighted;
  float* const none = nullptr;
  // The gradient of `down` needs h, which comes after that of its argument.
  matmulBackward(weighted, {&weights.down, 1}, dout, &weightedGradient, false, {&none, 1});
  swigluBackward(stream(), gate, up, weighted, nullptr, nullptr, nullptr, nullptr);
  matmulBackward(weighted, {&weights.down, 1}, dout, nullptr, false, {&gradients.down, 1});
  Tensor to = dx;
  matmulBackward(x, {&weights.gate, 1}, gate, &to, true, {&gradients.gate, 1});
  matmulBackward(x, {&weights.up, 1}, up, &to, true, {&gradients.up, 1});
}

void CudaTraining::keepRows(const int32_t* rows, int64_t count, Dispatch& dispatch) {
  cuda::keepRows(stream(), rows, count, dispatch, grown(kept_, dispatch.rows));
}

void CudaTraining::routerSums(const Dispatch& dispatch, RouterSums& sums) {
  const int64_t experts = dispatch.experts, blocks = blocksOf(dispatch.rows, normBlock);
  double* const totals = grown(partialDoubles_, sizeProduct(sizeSum(blocks, 1), sizeSum(experts, 1)));
  cuda::routerSums(stream(), dispatch, totals + experts + 1, totals, grown(counts_, experts));
  hostDoubles_.resize(static_cast<size_t>(experts + 1));
  hostCounts_.resize(static_cast<size_t>(experts));
  backend_.download(hostDoubles_.data(), totals, hostDoubles_.size() * sizeof(double));
  fetch(hostCounts_.data(), counts_.data(), experts);
  for (size_t expert = 0; expert < hostCounts_.size(); ++expert) {
    sums.probabilities[expert] += hostDoubles_[expert];
    sums.chosen[expert] += hostCounts_[expert];
  }
  sums.squaredLogSumExp += hostDoubles_.back();
}

void CudaTraining::routeBackward(const Dispatch& dispatch, const RouteOptions& options,
                                 const float* dRoutingWeights, const RouterLosses& losses, Tensor dLogits) {
  if (options.score != RouterScore::softmax)
    throw Error(ErrorCode::unsupportedModel, "the gradient of sigmoid routers is not implemented");
  cuda::routeBackward(stream(), dispatch, options, dRoutingWeights, losses, dLogits);
}

void CudaTraining::embedBackward(const int32_t* tokens, Tensor dout, float* dTable) {
  cuda::embedBackward(stream(), tokens, dout, dTable);
}

void CudaTraining::scatterRows(Tensor x, const int32_t* rows, Tensor out) {
  cuda::scatterRows(stream(), x, rows, out);
}

double CudaTraining::squaredNorm(std::span<const float> values) {
  const auto count = static_cast<int64_t>(values.size());
  const int64_t blocks = blocksOf(count, normElements);
  double* const sums = grown(partialDoubles_, blocks);
  squaredNorms(stream(), values.data(), count, sums);
  hostDoubles_.resize(static_cast<size_t>(blocks));
  fetch(hostDoubles_.data(), sums, blocks);
  double sum = 0;
  for (const double square : hostDoubles_) sum += square;
  return sum;
}

void CudaTraining::narrow(std::span<const float> values, uint16_t* out) {
  narrowValues(stream(), values.data(), static_cast<int64_t>(values.size()), out);
}

void CudaTraining::adamw(std::span<const AdamTensor> tensors, const AdamStep& step) {
  for (const AdamTensor& tensor : tensors) cuda::adamw(stream(), tensor, step);
}

}  // namespace rnd1::cuda
