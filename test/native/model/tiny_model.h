#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "backends.h"
#include "model/graph.h"
#include "temporary_file.h"

/** Small random models in a file, and a float64 reference of the whole model. */
namespace rnd1::test {

struct TinyOptions {
  bool normTopkProb = true;
  bool tieWordEmbeddings = false;
  std::vector<DType> dtypes = {DType::bf16};  // dtypes of the tensors, in turn
  std::function<void(Architecture&)> change = [](Architecture&) {};
};

class TinyModel {
 public:
  explicit TinyModel(uint64_t seed, const TinyOptions& options = {});

  /** Sets a token's embedding to NaN; call it before the first `load`. */
  void spoilToken(int32_t token);

  const Architecture& architecture() const { return architecture_; }
  /** Writes the file and returns its manifest, which tests may modify. */
  Manifest manifest();
  std::unique_ptr<Model> load(std::unique_ptr<Backend> backend);
  /** A tensor rounded to the compute dtype, except norms and the embedding. */
  Matrix tensor(const std::string& role, DType computeDtype) const;

 private:
  void addLayer(Noise& noise, size_t index);
  void addMlp(Noise& noise, const std::string& role, int64_t width);
  void add(Noise& noise, const std::string& role, int64_t rows, int64_t columns, float deviation,
           float mean = 0);

  Architecture architecture_;
  TinyOptions options_;
  std::vector<std::string> order_;
  std::map<std::string, Matrix> values_;
  std::map<std::string, DType> dtypes_;
  std::optional<TemporaryFile> file_;
};

/** Results of a forward pass for all rows of one canvas. */
struct Pass {
  std::vector<Matrix> hidden;        // (layers + 2) × (rows, hidden)
  std::vector<Matrix> routerLogits;  // layers with experts × (rows, experts)
  std::vector<int32_t> expertIds;    // (layers with experts, rows, k)
  std::vector<Matrix> expertWeights;
  Matrix logits;
};

/** Forward passes over canvases, packed; `forced` per canvas, or empty. */
std::vector<Pass> forward(Model& model, const std::vector<std::vector<int32_t>>& canvases,
                          const std::vector<std::vector<int32_t>>& forced = {});

namespace oracle {

struct ModelPass {
  std::vector<DoubleMatrix> hidden, routerLogits, expertWeights;
  DoubleMatrix logits;
};

/** The model on one canvas, with given experts (layers with experts, rows, k). */
ModelPass model(const TinyModel& tiny, DType computeDtype, std::span<const int32_t> tokens,
                std::span<const int32_t> expertIds);

}  // namespace oracle
}  // namespace rnd1::test
