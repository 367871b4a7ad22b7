#include "backend/ops.h"

#include "core/error.h"

namespace rnd1 {

void checkRoute(const RouteOptions& options, int64_t experts) {
  const auto refuse = [](const char* why) { throw Error(ErrorCode::unsupportedModel, why); };
  const auto [groups, kept] = options.groups;
  if (options.score == RouterScore::softmax && (options.selectionBias.data || groups != 0))
    refuse("a softmax router with a selection bias or groups of experts is not implemented");
  if (options.selectionBias.data && options.selectionBias.columns != experts)
    refuse("the router's selection bias has not one value for each expert");
  if (groups == 0) return;
  if (groups < 0 || groups > maxExpertGroups || kept <= 0 || kept > groups || experts % groups != 0)
    refuse("the groups of experts do not divide the experts");
  if (experts / groups * kept < options.expertsPerToken)
    refuse("the kept groups have fewer experts than a token needs");
}

}  // namespace rnd1
