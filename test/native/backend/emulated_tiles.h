#pragma once

#include "backend/cpu/float/kernels.h"
#include "backend/cpu/quantized/kernels.h"

/** The kernels for AMX with tiles in plain memory, which run on every processor. */
namespace rnd1::test {

/** Their compute dtype is bf16. */
const cpu::Kernels& emulatedTiles();
const cpu::QuantizedKernels& emulatedQuantizedTiles();

}  // namespace rnd1::test
