#pragma once

#include <napi.h>

#include <functional>

#include "checkpoint/manifest.h"

namespace rnd1::napi {

/**
 * Wraps a NativeProgress for calls from any thread; it runs on the JavaScript thread. Null: no calls. Throws
 * TypeError for other values. The last event may arrive after the promise settles.
 */
std::function<void(const LoadProgress&)> progressReporter(const Napi::Value& onProgress);

}  // namespace rnd1::napi
