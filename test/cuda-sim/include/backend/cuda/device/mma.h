#pragma once

// The simulated twin of native/backend/cuda/device/mma.h: lanes exchange their registers. Layouts as in
// NVIDIA's PTX ISA, "Matrix fragments for mma.m16n8k16" and "ldmatrix".
#include <cuda_runtime.h>

#include "backend/cuda/device/fragments.h"
#include "core/dtype.h"

namespace rnd1::cuda {

/** Element `index` of the 16-bit row that lane `lane` deposited. */
inline uint32_t depositedHalf(const std::byte* all, unsigned lane, unsigned index) {
  uint16_t bits;
  std::memcpy(&bits, all + lane * sim::collectiveBytes + index * 2, sizeof bits);
  return bits;
}

inline void loadMatrices(const void* row, uint32_t (&registers)[4]) {
  const std::byte* all = sim::collective(~0u, "ldmatrix", row, 16);
  const unsigned lane = sim::builtins.lane;
  for (unsigned matrix = 0; matrix < 4; ++matrix) {
    const unsigned from = 8 * matrix + lane / 4, column = lane % 4 * 2;
    registers[matrix] = depositedHalf(all, from, column) | depositedHalf(all, from, column + 1) << 16;
  }
}

inline void loadMatricesTransposed(const void* row, uint32_t (&registers)[4]) {
  const std::byte* all = sim::collective(~0u, "ldmatrix.trans", row, 16);
  const unsigned lane = sim::builtins.lane;
  for (unsigned matrix = 0; matrix < 4; ++matrix) {
    const unsigned from = 8 * matrix + lane % 4 * 2, column = lane / 4;
    registers[matrix] = depositedHalf(all, from, column) | depositedHalf(all, from + 1, column) << 16;
  }
}

template <DType type>
void multiplyAccumulate(FragmentC& c, const FragmentA& a, const FragmentB& b) {
  struct Operands {
    FragmentA a;
    FragmentB b;
  } own{a, b};
  const std::byte* all = sim::collective(~0u, "mma", &own, sizeof own);
  const unsigned row = sim::builtins.lane / 4, column = sim::builtins.lane % 4 * 2;
  const auto value = [&](unsigned lane, unsigned index) {
    const auto bits = static_cast<uint16_t>(depositedHalf(all, lane, index));
    return type == DType::bf16 ? bf16ToFloat(bits) : f16ToFloat(bits);
  };
  for (unsigned i = 0; i < 4; ++i) {
    float sum = 0;
    for (unsigned k = 0; k < 16; ++k) {
      // a: register 2 · (k / 8) + (row / 8); b: the fifth register and the sixth.
      const unsigned part = k % 8 / 2, half = k % 2;
      const float left = value(row * 4 + part, 2 * (2 * (k / 8) + i / 2) + half);
      const float right = value((column + i % 2) * 4 + part, 8 + 2 * (k / 8) + half);
      sum += left * right;
    }
    c.values[i] += sum;
  }
  if (sim::planted() == sim::Fault::wrong) c.values[0] += 1;
}

}  // namespace rnd1::cuda
