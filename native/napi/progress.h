#pragma once

#include <napi.h>

#include <functional>

#include "checkpoint/manifest.h"

namespace rnd1::napi {

/**
 * Calls a NativeProgress on the JavaScript thread, from any thread; does nothing for null. Throws TypeError
 * for anything else. The last event may come after the promise settles.
 */
std::function<void(const LoadProgress&)> progressReporter(const Napi::Value& onProgress);

}  // namespace rnd1::napi
