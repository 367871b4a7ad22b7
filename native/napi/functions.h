#pragma once

#include <napi.h>

namespace rnd1::napi {

/** The free functions of types/native.d.ts. */
Napi::Value scoreAndUnmask(const Napi::CallbackInfo& info);
Napi::Value fillShard(const Napi::CallbackInfo& info);
Napi::Value measurePeaks(const Napi::CallbackInfo& info);
Napi::Value system(const Napi::CallbackInfo& info);
Napi::Value philox(const Napi::CallbackInfo& info);

}  // namespace rnd1::napi
