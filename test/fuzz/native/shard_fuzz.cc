// Tensors of any description copied and quantized into a file, and panels quantized and widened again.
#include <cstdlib>
#include <new>
#include <stdexcept>
#include <string>
#include <vector>

#include "checkpoint/shard_writer.h"
#include "core/error.h"
#include "core/quantized.h"
#include "input.h"
#include "temporary.h"

namespace rnd1::fuzz {
namespace {

/** What is quantized must come back as near as its format allows, or be refused. */
void roundTrip(Input& input) {
  const DType source = unquantizedDType(input);
  const QuantizedShape shape{input.PickValueInArray({DType::q8, DType::q5, DType::q4}),
                             smallSize(input, 1, 16), smallSize(input, 1, 200),
                             input.ConsumeBool() ? 64 : 32};
  const bool minimums = shape.dtype == DType::q5 || (shape.dtype == DType::q4 && input.ConsumeBool());
  const int64_t stride = shape.columns * static_cast<int64_t>(dtypeSize(source));
  const std::vector<std::byte> wide = weightBytes(input, source, shape.rows * shape.columns);
  std::vector<uint8_t> data(static_cast<size_t>(shape.panelBytes()));
  std::vector<uint16_t> scales(static_cast<size_t>(shape.panelScales()));
  std::vector<uint16_t> lowest(minimums ? scales.size() : 0);
  if (!quantizePanel(shape, wide.data(), source, stride, shape.rows,
                     {data.data(), scales.data(), minimums ? lowest.data() : nullptr}))
    return;
  const Weight weight =
      quantizedWeight(shape, data.data(), scales.data(), minimums ? lowest.data() : nullptr);
  std::vector<float> out(static_cast<size_t>(shape.rows * shape.columns));
  dequantizeRows(weight, 0, shape.rows, out.data(), shape.columns);
  for (const float value : out)
    if (!std::isfinite(value)) std::abort();
}

void fill(Input& input) {
  Shard shard;
  const std::vector<std::byte> content =
      weightBytes(input, DType::f32, input.ConsumeIntegralInRange<int64_t>(0, 3000));
  const TemporaryFile source(content), target(std::span<const std::byte>{});
  shard.sources = {source.path()};
  shard.path = target.path();
  for (int count = input.ConsumeIntegralInRange<int>(1, 4); count > 0; --count) {
    ShardTensor tensor;
    tensor.name = "tensor " + std::to_string(count);
    tensor.source.dtype = unquantizedDType(input);
    const bool wild = input.ConsumeIntegralInRange<int>(0, 3) == 0;
    // native/napi lets no more through.
    const auto size = [&] {
      return wild ? std::min(std::max<int64_t>(anySize(input), 1), int64_t{1} << 48)
                  : smallSize(input, 1, 100);
    };
    tensor.source.shape = {size()};
    if (input.ConsumeBool())
      tensor.source.shape.push_back(std::min(size(), (int64_t{1} << 48) / tensor.source.shape[0]));
    if (tensor.source.shape.size() == 2 && input.ConsumeIntegralInRange<int>(0, 2) == 0) {
      tensor.source.blocks = static_cast<BlockType>(input.ConsumeIntegralInRange<int>(0, 5));
      tensor.source.blockScales.offset =
          input.ConsumeIntegralInRange<uint64_t>(0, wild ? uint64_t{1} << 52 : content.size());
      tensor.source.blockScaleDtype = unquantizedDType(input);
      tensor.source.headRows = 2 * input.ConsumeIntegralInRange<int64_t>(0, 8);
      if (!wild && tensor.source.blocks != BlockType::none) {
        const int64_t columns = blockSize(tensor.source.blocks).columns;
        tensor.source.shape[1] = columns * input.ConsumeIntegralInRange<int64_t>(1, 3);
      }
      if (!wild && tensor.source.headRows > 0)
        tensor.source.shape[0] = tensor.source.headRows * input.ConsumeIntegralInRange<int64_t>(1, 3);
    }
    tensor.source.offset =
        input.ConsumeIntegralInRange<uint64_t>(0, wild ? uint64_t{1} << 52 : content.size());
    tensor.data = input.ConsumeIntegralInRange<uint64_t>(0, 1 << 16);
    if (tensor.source.shape.size() == 2 && input.ConsumeBool()) {
      constexpr DType dtypes[] = {DType::q8, DType::q5, DType::q4, DType::fp8};
      const Quantization quantization{input.PickValueInArray(dtypes), input.ConsumeBool() ? 64 : 32};
      tensor.quantized = quantization.shapeOf(tensor.source.shape[0], tensor.source.shape[1]);
      tensor.scales = input.ConsumeIntegralInRange<uint64_t>(0, 1 << 16);
      if (hasMinimums(tensor.quantized->dtype))
        tensor.minimums = input.ConsumeIntegralInRange<uint64_t>(0, 1 << 16);
    }
    shard.tensors.push_back(tensor);
  }
  const AbortFlag never;
  try {
    fillShard(
        shard, input.ConsumeIntegralInRange<int>(1, 2), [](const LoadProgress&) {}, never);
  } catch (const Error&) {
  } catch (const std::bad_alloc&) {
  } catch (const std::length_error&) {
  }
}

}  // namespace

void run(Input& input) { input.ConsumeIntegralInRange<int>(0, 3) == 0 ? fill(input) : roundTrip(input); }

}  // namespace rnd1::fuzz
