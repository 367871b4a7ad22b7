// Prints the launches of a step of RND1-30B's shape as JSON, without running them: for
// scripts/launch-plan.ts.
//
//     rnd1_launch_plan [CANVASES [LENGTH [LAYERS [bf16|q8|q5|q4|fp8]]]]
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <vector>

#include "architecture.h"
#include "backend/cuda/cuda_backend.h"
#include "backend/cuda/quantized_layout.h"
#include "model/graph.h"
#include "simulator.h"

namespace rnd1 {
namespace {

/** A file of zeros without blocks on the disk, in which all tensors begin at 0. */
class EmptyCheckpoint {
 public:
  EmptyCheckpoint(const Architecture& architecture, DType weights) : file_(std::tmpfile()) {
    const int64_t longest = architecture.vocabulary * architecture.hidden * 2;
    if (!file_ || ftruncate(fileno(file_.get()), static_cast<off_t>(longest)) != 0)
      throw Error(ErrorCode::io, "cannot make a temporary file");
    manifest_.files = {"/proc/self/fd/" + std::to_string(fileno(file_.get()))};
    manifest_.copied = true;
    bench::forEachTensor(architecture, [&](const bench::ModelTensor& tensor) {
      TensorLocation& location = manifest_.tensors[tensor.role];
      location.name = tensor.role;
      location.shape = tensor.shape;
      location.dtype = DType::bf16;
      if (weights == DType::fp8 && tensor.matmul && Quantization{weights}.takes(tensor.role)) {
        location.blocks = BlockType::fp8;
        location.quantize = Quantization{weights, 0};
      } else if (weights != DType::fp8 && tensor.matmul) {
        location.dtype = weights;
        location.group = isQuantized(weights) ? 64 : 0;
      }
    });
  }
  const Manifest& manifest() const { return manifest_; }

 private:
  struct Close {
    void operator()(std::FILE* file) const noexcept { std::fclose(file); }
  };
  std::unique_ptr<std::FILE, Close> file_;
  Manifest manifest_;
};

/** Gives weights addresses, but no memory. */
class PlannedBackend : public cuda::CudaBackend {
 public:
  PlannedBackend() : CudaBackend(DType::bf16, 0) {}
  void expectWeights(int64_t, int64_t) override {}
  Weight place(const Weight& mapped) override {
    Weight placed = mapped.quantized() ? cuda::quantizedInTiles(mapped) : mapped;
    placed.data = reinterpret_cast<const std::byte*>(next_);
    next_ += (static_cast<uintptr_t>(mapped.bytes()) + 255) / 256 * 256;
    return placed;
  }

 private:
  uintptr_t next_ = uintptr_t{1} << 44;
};

struct SeenLaunch {
  sim::Launch launch;
  uintptr_t kernel;
};

void plan(int64_t canvases, int64_t length, int64_t layers, DType weights) {
  bench::Options options;
  options.layers = layers;
  const Architecture architecture = bench::architectureOf(options);
  const EmptyCheckpoint checkpoint(architecture, weights);
  const AbortFlag never;
  Model model(
      architecture, std::make_unique<PlannedBackend>(), checkpoint.manifest(), [](const LoadProgress&) {},
      never);
  const auto positions = static_cast<size_t>(length);
  const std::vector<int32_t> tokens(positions, 1);
  const std::vector<uint8_t> eligible(positions, 1);
  std::vector<int32_t> masked;
  for (int32_t position = 0; position < length; ++position) masked.push_back(position);
  std::vector<std::vector<Score>> scores(static_cast<size_t>(canvases), std::vector<Score>(positions));
  std::vector<StepCanvas> batch(static_cast<size_t>(canvases));
  for (size_t i = 0; i < batch.size(); ++i) {
    batch[i].tokens = tokens;
    batch[i].masked = masked;
    batch[i].eligible = eligible;
    batch[i].scores = scores[i];
  }

  std::vector<SeenLaunch> seen;
  sim::watchLaunches([&](const sim::Launch& launch, const void* kernel) {
    seen.push_back({launch, reinterpret_cast<uintptr_t>(kernel)});
  });
  // A trace knows the names of launches. The first step, in which tables of experts are made, is not
  // recorded.
  model.backend().startTrace();
  model.step(batch, never);
  const std::vector<TracedLaunch> named = model.backend().finishTrace();
  sim::watchLaunches({});
  if (named.size() != seen.size()) throw Error(ErrorCode::cudaError, "the trace has not seen every launch");
  std::printf("{\"anchor\": %llu, \"launches\": [",
              static_cast<unsigned long long>(reinterpret_cast<uintptr_t>(&sim::setSeed)));
  for (size_t i = 0; i < seen.size(); ++i) {
    const auto& [grid, block, sharedBytes, early, cluster] = seen[i].launch;
    std::printf(
        "%s\n{\"name\": \"%s\", \"kernel\": %llu, \"grid\": [%u, %u, %u], \"cluster\": [%u, %u], "
        "\"threads\": %u, "
        "\"shared\": %zu}",
        i == 0 ? "" : ",", named[i].name.c_str(), static_cast<unsigned long long>(seen[i].kernel), grid.x,
        grid.y, grid.z, cluster.x, cluster.y, block.x, sharedBytes);
  }
  std::printf("\n]}\n");
}

}  // namespace
}  // namespace rnd1

int main(int count, char** arguments) {
  const auto argument = [&](int index, int64_t otherwise) {
    return index < count ? std::max<int64_t>(std::atoll(arguments[index]), 1) : otherwise;
  };
  try {
    const std::string weights = count > 4 ? arguments[4] : "bf16";
    rnd1::plan(argument(1, 1), argument(2, 256), argument(3, 48),
               weights == "q8"    ? rnd1::DType::q8
               : weights == "q5"  ? rnd1::DType::q5
               : weights == "q4"  ? rnd1::DType::q4
               : weights == "fp8" ? rnd1::DType::fp8
                                  : rnd1::DType::bf16);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return 1;
  }
}
