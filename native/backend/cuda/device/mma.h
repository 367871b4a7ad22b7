#pragma once

#include <cuda_runtime.h>

#include "backend/cuda/device/fragments.h"
#include "core/dtype.h"

namespace rnd1::cuda {

/** The 32-bit shared-memory address of a pointer, which some instructions require. */
__device__ __forceinline__ uint32_t sharedAddress(const void* pointer) {
  return static_cast<uint32_t>(__cvta_generic_to_shared(pointer));
}

/** Loads four 8 × 8 matrices; lane l provides the address of row l % 8 of matrix l / 8
 * (ldmatrix.sync.aligned.m8n8.x4). */
__device__ __forceinline__ void loadMatrices(const void* row, uint32_t (&registers)[4]) {
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0, %1, %2, %3}, [%4];"
               : "=r"(registers[0]), "=r"(registers[1]), "=r"(registers[2]), "=r"(registers[3])
               : "r"(sharedAddress(row))
               : "memory");
}

/** The same, each matrix transposed (ldmatrix.sync.aligned.m8n8.x4.trans). */
__device__ __forceinline__ void loadMatricesTransposed(const void* row, uint32_t (&registers)[4]) {
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0, %1, %2, %3}, [%4];"
               : "=r"(registers[0]), "=r"(registers[1]), "=r"(registers[2]), "=r"(registers[3])
               : "r"(sharedAddress(row))
               : "memory");
}

/** c += a · b (mma.sync.aligned.m16n8k16.row.col.f32.{bf16,f16}). */
template <DType type>
__device__ __forceinline__ void multiplyAccumulate(FragmentC& c, const FragmentA& a, const FragmentB& b) {
  static_assert(type != DType::f32);
  if constexpr (type == DType::bf16) {
    asm volatile(
        "mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, "
        "{%0, %1, %2, %3};"
        : "+f"(c.values[0]), "+f"(c.values[1]), "+f"(c.values[2]), "+f"(c.values[3])
        : "r"(a.registers[0]), "r"(a.registers[1]), "r"(a.registers[2]), "r"(a.registers[3]),
          "r"(b.registers[0]), "r"(b.registers[1]));
  } else {
    asm volatile(
        "mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, "
        "{%0, %1, %2, %3};"
        : "+f"(c.values[0]), "+f"(c.values[1]), "+f"(c.values[2]), "+f"(c.values[3])
        : "r"(a.registers[0]), "r"(a.registers[1]), "r"(a.registers[2]), "r"(a.registers[3]),
          "r"(b.registers[0]), "r"(b.registers[1]));
  }
}

}  // namespace rnd1::cuda
