#include "backend/ops.h"

#include "core/error.h"

namespace rnd1 {

void checkMask(AttentionMask mask) {
  if (mask != AttentionMask::full)
    throw Error(ErrorCode::unsupportedModel, "this attention mask is not implemented");
}

}  // namespace rnd1
