#pragma once

#include "model/architecture.h"
#include "options.h"

namespace rnd1::bench {

/** A mixture of experts of the options' sizes, whose defaults are RND1's. */
Architecture architectureOf(const Options& options);

}  // namespace rnd1::bench
