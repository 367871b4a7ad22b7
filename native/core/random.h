#pragma once

#include <array>
#include <cstdint>

namespace rnd1 {

/**
 * Philox 4x32-10: four random words from a 64-bit key and a 128-bit counter.
 * Source: Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", SC 2011.
 */
inline std::array<uint32_t, 4> philox(uint64_t seed, std::array<uint32_t, 4> counter) {
  uint32_t key0 = static_cast<uint32_t>(seed);
  uint32_t key1 = static_cast<uint32_t>(seed >> 32);
  for (int round = 0; round < 10; ++round) {
    const uint64_t product0 = uint64_t{0xD2511F53u} * counter[0];
    const uint64_t product1 = uint64_t{0xCD9E8D57u} * counter[2];
    counter = {static_cast<uint32_t>(product1 >> 32) ^ counter[1] ^ key0, static_cast<uint32_t>(product1),
               static_cast<uint32_t>(product0 >> 32) ^ counter[3] ^ key1, static_cast<uint32_t>(product0)};
    key0 += 0x9E3779B9u;
    key1 += 0xBB67AE85u;
  }
  return counter;
}

/** Counters of a generation; the last word is 0 for draws, 1 for the random order. */
inline std::array<uint32_t, 4> drawCounter(uint32_t token, uint32_t position, uint32_t round) {
  return {token >> 2, position, round, 0};
}
inline std::array<uint32_t, 4> orderCounter(uint32_t position, uint32_t round) {
  return {0, position, round, 1};
}

/** Uniform in (0, 1): the midpoints of 2^23 intervals. */
inline float uniform(uint32_t word) { return (static_cast<float>(word >> 9) + 0.5f) * 0x1p-23f; }

}  // namespace rnd1
