#pragma once

#include <napi.h>

#include "checkpoint/manifest.h"
#include "checkpoint/shard_writer.h"

namespace rnd1::napi {

/** Readers of tensor locations in the plain objects of types/native.d.ts. They throw as those of convert.h
 * do. */

/** Reads the weights of a SessionDescription. */
Manifest readManifest(const Napi::Object& description);

/** Reads a ShardDescription. */
Shard readShard(const Napi::Object& description);

}  // namespace rnd1::napi
