#pragma once

// The simulated twin of native/backend/cuda/device/tensor_map.h and of tensor_map.cc.
#include "backend/cuda/device/cluster.h"
#include "core/dtype.h"

namespace rnd1::cuda {

struct TensorMap {
  const std::byte* data;
  int64_t rows, columns, strideBytes;
  int boxRows;
};

template <bool constant>
void copyBox(void* shared, const TensorMap& map, int32_t column, int32_t row, uint64_t* barrier,
             uint16_t ranks) {
  alignas(16) static const std::byte zeros[16] = {};
  constexpr int chunks = 8;
  for (int r = 0; r < map.boxRows; ++r)
    for (int chunk = 0; chunk < chunks; ++chunk) {
      auto* const to = static_cast<std::byte*>(shared) + (r * chunks + chunk) * 16;
      const auto address = reinterpret_cast<uintptr_t>(to);
      // The hardware permutes by bits of the address.
      auto* const permuted = to + ((address >> 4 ^ (address >> 7 & 7)) & 7) * 16 - (address >> 4 & 7) * 16;
      const int64_t first = column + chunk * 8;
      const bool inside = row + r < map.rows && first < map.columns;
      sim::copyBulk(permuted, inside ? map.data + (row + r) * map.strideBytes + first * 2 : zeros, 16,
                    barrier, ranks, constant || !inside);
    }
}

inline void prefetchBox(const TensorMap&, int32_t, int32_t) {}

inline TensorMap tensorMapOf(const void* data, DType, int64_t rows, int64_t columns, int64_t strideBytes,
                             int boxRows) {
  return {static_cast<const std::byte*>(data), rows, columns, strideBytes, boxRows};
}

}  // namespace rnd1::cuda
