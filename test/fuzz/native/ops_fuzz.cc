// Products, attention, routes and experts at any shape, with any numbers: whatever a row holds, no other row
// sees it.
#include <cstdlib>
#include <cstring>
#include <memory>
#include <vector>

#include "backend/registry.h"
#include "core/quantized.h"
#include "input.h"

namespace rnd1::fuzz {
namespace {

/** A weight and what it lies in. */
struct OwnedWeight {
  std::vector<std::byte> bytes;
  std::vector<uint8_t> data;
  std::vector<uint16_t> scales, minimums;
  Weight weight;
};

OwnedWeight makeWeight(Input& input, int64_t rows, int64_t columns, bool quantized) {
  OwnedWeight made;
  const DType dtype = unquantizedDType(input);
  made.bytes = weightBytes(input, dtype, rows * columns);
  made.weight = Weight(made.bytes.data(), dtype, rows, columns);
  if (!quantized) return made;
  const QuantizedShape shape{input.PickValueInArray({DType::q8, DType::q5, DType::q4}), rows, columns,
                             quantizedGroup(columns, input.ConsumeBool() ? 64 : 32)};
  made.data.resize(static_cast<size_t>(shape.dataBytes()));
  made.scales.resize(static_cast<size_t>(shape.scaleCount()));
  if (hasMinimums(shape.dtype)) made.minimums.resize(made.scales.size());
  for (int64_t panel = 0; panel < shape.panels(); ++panel) {
    const QuantizedPanel target{
        made.data.data() + panel * shape.panelBytes(), made.scales.data() + panel * shape.panelScales(),
        made.minimums.empty() ? nullptr : made.minimums.data() + panel * shape.panelScales()};
    if (!quantizePanel(shape, made.bytes.data() + panel * panelRows * made.weight.strideBytes, dtype,
                       made.weight.strideBytes, std::min(panelRows, rows - panel * panelRows), target))
      return made;
  }
  made.weight = quantizedWeight(shape, made.data.data(), made.scales.data(),
                                made.minimums.empty() ? nullptr : made.minimums.data());
  return made;
}

void matmul(Input& input, Backend& backend) {
  const int64_t rows = smallSize(input, 1, 70), columns = smallSize(input, 1, 300),
                outputs = smallSize(input, 1, 140);
  const OwnedWeight owned = makeWeight(input, outputs, columns, input.ConsumeBool());
  const Weight weight = backend.place(owned.weight);
  Limits limits;
  limits.rows = rows;
  limits.innerColumns = columns;
  backend.reserve(limits);
  std::vector<float> x = floats(input, rows * columns), out(static_cast<size_t>(rows * outputs));
  backend.matmul({x.data(), rows, columns}, {&weight, 1}, {out.data(), rows, outputs});
  backend.synchronize();
  // The last row alone gives the same bits.
  std::vector<float> alone(static_cast<size_t>(outputs));
  backend.matmul({x.data() + (rows - 1) * columns, 1, columns}, {&weight, 1}, {alone.data(), 1, outputs});
  backend.synchronize();
  for (int64_t i = 0; i < outputs; ++i) {
    const float a = alone[static_cast<size_t>(i)], b = out[static_cast<size_t>((rows - 1) * outputs + i)];
    if (!(std::isnan(a) && std::isnan(b)) && a != b) std::abort();
  }
}

void attention(Input& input, Backend& backend) {
  HeadLayout layout;
  layout.keyValueHeads = input.ConsumeIntegralInRange<int64_t>(1, 3);
  layout.heads = layout.keyValueHeads * input.ConsumeIntegralInRange<int64_t>(1, 4);
  layout.headDim = 2 * smallSize(input, 1, 70);
  std::vector<int32_t> offsets{0};
  for (int count = input.ConsumeIntegralInRange<int>(1, 4); count > 0; --count)
    offsets.push_back(offsets.back() + static_cast<int32_t>(smallSize(input, 1, 90)));
  const int64_t rows = offsets.back();
  std::vector<int32_t> positions;
  for (size_t canvas = 0; canvas + 1 < offsets.size(); ++canvas)
    for (int32_t row = offsets[canvas]; row < offsets[canvas + 1]; ++row)
      positions.push_back(row - offsets[canvas]);
  std::vector<float> qkv = floats(input, rows * layout.columns());
  std::vector<float> out(static_cast<size_t>(rows * layout.queryColumns()));
  Limits limits;
  limits.rows = rows;
  limits.innerColumns = layout.queryColumns();
  limits.headDim = layout.headDim;
  backend.reserve(limits);
  const Tensor all(qkv.data(), rows, layout.columns());
  const int64_t queries = layout.queryColumns(), keys = layout.keyValueColumns();
  const CanvasOffsets canvases{offsets.data(), static_cast<int64_t>(offsets.size()) - 1};
  backend.attention(all.columnRange(0, queries), all.columnRange(queries, keys),
                    all.columnRange(queries + keys, keys), layout, {canvases, positions.data(), canvases, {}},
                    AttentionMask(), 0.125f, {out.data(), rows, queries}, nullptr);
  backend.synchronize();
}

void experts(Input& input, Backend& backend) {
  const int64_t rows = smallSize(input, 1, 70), columns = smallSize(input, 1, 100),
                width = smallSize(input, 1, 80);
  const int64_t count = smallSize(input, 1, 17),
                k = input.ConsumeIntegralInRange<int64_t>(1, std::min<int64_t>(count, 8));
  const bool quantized = input.ConsumeBool();
  const OwnedWeight router = makeWeight(input, count, columns, false);
  std::vector<OwnedWeight> owned;
  std::vector<ExpertWeights> weights;
  for (int64_t expert = 0; expert < count; ++expert) {
    owned.push_back(makeWeight(input, width, columns, quantized));
    owned.push_back(makeWeight(input, width, columns, quantized));
    owned.push_back(makeWeight(input, columns, width, quantized));
    // A number that cannot be quantized leaves one wide: experts are all one or all the other.
    for (size_t i = owned.size() - 3; i < owned.size(); ++i)
      if (owned[i].weight.quantized() != quantized) return;
    weights.push_back({backend.place(owned[owned.size() - 3].weight),
                       backend.place(owned[owned.size() - 2].weight),
                       backend.place(owned[owned.size() - 1].weight)});
  }
  Limits limits;
  limits.rows = rows;
  limits.innerColumns = std::max(columns, width);
  limits.experts = count;
  limits.expertWidth = width;
  limits.expertColumns = columns;
  limits.expertsPerToken = k;
  backend.reserve(limits);
  std::vector<float> x = floats(input, rows * columns), out(x.size());
  std::vector<float> logits(static_cast<size_t>(rows * count)), factors(static_cast<size_t>(rows * k));
  std::vector<float> activated(static_cast<size_t>(rows * k * width));
  std::vector<int32_t> ids(static_cast<size_t>(rows * k)), slots(ids.size()),
      offsets(static_cast<size_t>(count + 1));
  Dispatch dispatch;
  dispatch.routerLogits = logits.data();
  dispatch.expertIds = ids.data();
  dispatch.weights = factors.data();
  dispatch.offsets = offsets.data();
  dispatch.slots = slots.data();
  const Tensor given(x.data(), rows, columns);
  backend.route(given, backend.place(router.weight), {k, input.ConsumeBool(), nullptr}, dispatch);
  backend.experts(given, weights, dispatch, {activated.data(), rows * k, width}, {out.data(), rows, columns});
  backend.synchronize();
  for (const int32_t id : ids)
    if (id < 0 || id >= count) std::abort();
}

}  // namespace

void run(Input& input) {
  const auto sets = cpuInstructionSets();
  const auto backend = makeCpuBackend(unquantizedDType(input), input.ConsumeIntegralInRange<int>(1, 2),
                                      sets[input.ConsumeIntegralInRange<size_t>(0, sets.size() - 1)]);
  switch (input.ConsumeIntegralInRange<int>(0, 2)) {
    case 0:
      return matmul(input, *backend);
    case 1:
      return attention(input, *backend);
    default:
      return experts(input, *backend);
  }
}

}  // namespace rnd1::fuzz
