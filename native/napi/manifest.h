#pragma once

#include <napi.h>

#include "checkpoint/manifest.h"
#include "checkpoint/shard_writer.h"

namespace rnd1::napi {

/** Where tensors lie, from the plain objects of types/native.d.ts. Each throws as the readers of convert.h
 * do. */

/** What a SessionDescription says about weights. */
Manifest readManifest(const Napi::Object& description);

/** A ShardDescription. */
Shard readShard(const Napi::Object& description);

}  // namespace rnd1::napi
