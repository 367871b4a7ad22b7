#pragma once

#include <napi.h>

#include "model/architecture.h"

namespace rnd1::napi {

/** `Architecture` of types/native.d.ts. Throws TypeError and RangeError; `validate` checks how sizes fit
 * together. */
Architecture readArchitecture(const Napi::Object& object);

}  // namespace rnd1::napi
