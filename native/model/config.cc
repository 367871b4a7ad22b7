#include "model/config.h"

#include "core/error.h"

namespace rnd1 {

void Config::validate() const {
  const auto require = [](bool condition, const char* what) {
    if (!condition) throw Error(ErrorCode::unsupportedModel, std::string("impossible model sizes: ") + what);
  };
  constexpr int64_t max = int64_t{1} << 24;
  for (const int64_t size : {layers, hidden, heads, keyValueHeads, headDim, experts, expertsPerToken,
                             expertWidth, vocabulary, maxPositions})
    require(size > 0 && size <= max, "every size must be between 1 and 2^24");
  require(headDim % 2 == 0, "head_dim must be even");
  require(heads % keyValueHeads == 0, "num_attention_heads must be a multiple of num_key_value_heads");
  require(expertsPerToken <= experts, "num_experts_per_tok must not exceed num_experts");
  require(rmsNormEpsilon >= 0, "rms_norm_eps must not be negative");
  require(ropeTheta > 0, "rope_theta must be positive");
}

}  // namespace rnd1
