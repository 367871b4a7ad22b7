// Sums over rows have the same bits for any number of threads, and in micro-batches of whole blocks.
#include <algorithm>

#include "training_support.h"

namespace rnd1::test {
namespace {

constexpr int64_t rows = 700, hidden = 40, width = 24, experts = 5, k = 2, vocabulary = 6100;

/** All weight gradients of some ops, over rows [first, first + count) of fixed inputs, one after another. */
class AllGradients {
 public:
  explicit AllGradients(Backend& backend) : backend_(backend), ops_(*backend.training()) {
    Noise noise(51);
    x_ = noise.matrix(rows, hidden);
    dout_ = noise.matrix(rows, hidden);
    for (int64_t i = 0; i < 3 * experts; ++i)
      matrices_.push_back(std::make_unique<DeviceArray<float>>(backend, noise.normals(width * hidden)));
    head_ = std::make_unique<DeviceArray<float>>(backend, noise.normals(vocabulary * hidden, 0.2f));
    for (int64_t row = 0; row < rows; ++row) {
      const auto first = static_cast<int32_t>(noise.below(experts));
      for (int32_t rank = 0; rank < k; ++rank) ids_.push_back((first + rank) % static_cast<int32_t>(experts));
      tokens_.push_back(static_cast<int32_t>(noise.below(13)));
      if (noise.uniform() < 0.6) scored_.push_back(static_cast<int32_t>(row));
    }
    constexpr int64_t ofExperts = 3 * hidden * width * experts;
    for (const int64_t size :
         {width * hidden, hidden, ofExperts, 13 * hidden, vocabulary * hidden, ofExperts})
      sums_.push_back(std::make_unique<GradientArray>(backend, size));
  }

  void add(int64_t first, int64_t count) {
    Limits limits;
    limits.rows = limits.scoredRows = count;
    limits.innerColumns = vocabulary;
    limits.headDim = hidden;
    backend_.reserve(limits);
    const DeviceMatrix x(backend_, rowRange(x_, first, count)), dout(backend_, rowRange(dout_, first, count));
    const DeviceMatrix dx(backend_, Matrix(count, hidden));
    Tensor dxTensor = dx;
    const Weight weight = weightOf(*matrices_[0], width, hidden);
    float* const dWeight = sums_[0]->data();
    ops_.matmulBackward(x, {&weight, 1}, Tensor(dout).columnRange(3, width), &dxTensor, true, {&dWeight, 1});
    ops_.rmsNormBackward(x, weightOf(*matrices_[1], 1, hidden), 1e-6f, dout, dx, sums_[1]->data());
    addExperts(first, count, x, dout, dx);
    const DeviceArray<int32_t> tokens(backend_, {tokens_.begin() + first, tokens_.begin() + first + count});
    ops_.embedBackward(tokens.data(), dout, sums_[3]->data());
    addHead(first, count);
    activations_.push_back(dx.host());
  }

  std::vector<float> gradients() const {
    std::vector<float> all;
    for (const auto& sum : sums_) {
      const std::vector<float> values = sum->host();
      all.insert(all.end(), values.begin(), values.end());
    }
    return all;
  }
  std::vector<float> activations() const {
    std::vector<float> all;
    for (const Matrix& part : activations_) all.insert(all.end(), part.values.begin(), part.values.end());
    return all;
  }
  double loss = 0;

 private:
  void addExperts(int64_t first, int64_t count, const DeviceMatrix& x, const DeviceMatrix& dout,
                  const DeviceMatrix& dx) {
    std::vector<ExpertWeights> weights;
    std::vector<int32_t> offsets{0}, slots;
    for (int64_t expert = 0; expert < experts; ++expert) {
      const auto at = static_cast<size_t>(3 * expert);
      weights.push_back({weightOf(*matrices_[at], width, hidden), weightOf(*matrices_[at + 1], width, hidden),
                         weightOf(*matrices_[at + 2], hidden, width)});
      for (int64_t slot = 0; slot < count * k; ++slot)
        if (ids_[static_cast<size_t>(first * k + slot)] == expert)
          slots.push_back(static_cast<int32_t>(slot));
      offsets.push_back(static_cast<int32_t>(slots.size()));
    }
    const DeviceArray<int32_t> starts(backend_, offsets), order(backend_, slots);
    const DeviceArray<int32_t> ids(backend_, {ids_.begin() + first * k, ids_.begin() + (first + count) * k});
    const DeviceArray<float> factors(backend_, std::vector<float>(static_cast<size_t>(count * k), 0.5f));
    Dispatch dispatch;
    dispatch.rows = count;
    dispatch.expertsPerToken = k;
    dispatch.experts = experts;
    dispatch.expertIds = ids.data();
    dispatch.weights = factors.data();
    dispatch.offsets = starts.data();
    dispatch.slots = order.data();
    const DeviceMatrix gate(backend_, count * k, width), up(backend_, count * k, width);
    const DeviceMatrix out(backend_, count, hidden);
    const DeviceArray<float> dWeights(backend_, static_cast<size_t>(count * k));
    const auto addAll = [&](const GradientArray& sums) {
      std::vector<ExpertGradients> gradients;
      for (int64_t expert = 0; expert < experts; ++expert) {
        float* const start = sums.data() + 3 * expert * width * hidden;
        gradients.push_back({start, start + width * hidden, start + 2 * width * hidden});
      }
      ops_.experts(x, weights, dispatch, gate, up, out);
      ops_.expertsBackward(x, weights, dispatch, gate, up, dout, dx, dWeights.data(), gradients);
    };
    addAll(*sums_[2]);
    std::vector<int32_t> kept;
    for (const int32_t row : scored_)
      if (row >= first && row < first + count) kept.push_back(static_cast<int32_t>(row - first));
    const DeviceArray<int32_t> rowArray(backend_, kept);
    ops_.keepRows(rowArray.data(), static_cast<int64_t>(kept.size()), dispatch);
    addAll(*sums_[5]);
  }

  void addHead(int64_t first, int64_t count) {
    std::vector<int32_t> places, targets;
    std::vector<float> weights;
    Matrix chosen(0, hidden);
    for (const int32_t row : scored_) {
      if (row < first || row >= first + count) continue;
      places.push_back(static_cast<int32_t>(row - first));
      targets.push_back(row * 3 % static_cast<int32_t>(vocabulary));
      weights.push_back(0.01f);
      chosen.values.insert(chosen.values.end(), x_.row(row), x_.row(row) + hidden);
      ++chosen.rows;
    }
    const DeviceArray<int32_t> rowArray(backend_, places), targetArray(backend_, targets);
    const DeviceArray<float> weightArray(backend_, weights);
    const DeviceMatrix dx(backend_, chosen.rows, hidden);
    std::vector<double> losses(places.size());
    Tensor gradient = dx;
    ops_.crossEntropy(DeviceMatrix(backend_, chosen), weightOf(*head_, vocabulary, hidden),
                      {rowArray.data(), targetArray.data(), weightArray.data(), chosen.rows}, losses.data(),
                      &gradient, sums_[4]->data());
    for (size_t row = 0; row < losses.size(); ++row) loss += static_cast<double>(weights[row]) * losses[row];
    activations_.push_back(dx.host());
  }

  Backend& backend_;
  TrainingOps& ops_;
  Matrix x_, dout_;
  std::vector<std::unique_ptr<DeviceArray<float>>> matrices_;
  std::unique_ptr<DeviceArray<float>> head_;
  std::vector<int32_t> ids_, tokens_, scored_;
  std::vector<std::unique_ptr<GradientArray>> sums_;
  std::vector<Matrix> activations_;
};

void threadsKeepBits() {
  forEachTrainingFactory([](const BackendFactory& make) {
    const auto one = make(1), three = make(3);
    AllGradients alone(*one), together(*three);
    alone.add(0, rows);
    together.add(0, rows);
    expectSameBits(together.gradients(), alone.gradients(), "gradients of weights");
    expectSameBits(together.activations(), alone.activations(), "gradients of activations");
    expectEqual(together.loss, alone.loss, "loss");
  });
}

void microBatchesKeepBits() {
  forEachTrainingFactory([](const BackendFactory& make) {
    const auto backend = make(2);
    // 700 rows have too many logits to be kept, 188 do not.
    AllGradients whole(*backend), split(*backend);
    whole.add(0, rows);
    split.add(0, 2 * gradientBlock);
    split.add(2 * gradientBlock, rows - 2 * gradientBlock);
    expectSameBits(split.gradients(), whole.gradients(), "gradients of weights");
    expectEqual(split.loss, whole.loss, "loss");
  });
}

const DeviceTests tests{{"training: any number of threads", threadsKeepBits},
                        {"training: micro-batches of whole blocks", microBatchesKeepBits}};

}  // namespace
}  // namespace rnd1::test
