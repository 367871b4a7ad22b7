// Products of quantized activations with panels in vector registers. Included by kernels.inl only.

// Wide vectors hold a whole panel and process both panels of a pair together, narrow ones a part of one.
constexpr int panelsAtOnce = vectorsPerPanel == 1 ? 2 : 1;
constexpr int vectors = vectorsPerPanel * panelsAtOnce;
constexpr int registerRows = RND1_TILE_ROWS;

#ifdef RND1_MULTIPLIES_PAIRS
#include "backend/cpu/quantized/pair_products.inl"
#else
#include "backend/cpu/quantized/quad_products.inl"
#endif

template <uint8_t format, int rows>
static void multiplyRows(const QuantizedTile& x, const PanelPair& weights, float* __restrict out) {
  // Local copies, since a store to `out` might alias the references.
  constexpr bool hasMinimums = format != formatQ8;
  const int64_t groups = weights.groups, group = weights.group;
  const int64_t groupBytes = linesOf(format, group) * lineBytes;
  const int64_t prefetchBytes = weights.prefetch.bytesPerGroup;
  for (int firstPanel = 0; firstPanel < 2; firstPanel += panelsAtOnce) {
    PanelView panels[panelsAtOnce];
    const uint8_t* values[panelsAtOnce];
    const uint8_t* ahead[panelsAtOnce];
    for (int p = 0; p < panelsAtOnce; ++p) {
      panels[p] = weights.panels[firstPanel + p];
      values[p] = panels[p].values;
      ahead[p] = weights.prefetch.first[firstPanel + p];
    }
    const int8_t* activations = x.values;
    const GroupSum* groupSums = x.sums;
    const float* activationScales = x.scales;
    float* target = out + firstPanel * 16;
    F totals[rows][vectors] = {};
    for (int64_t g = 0; g < groups; ++g) {
      for (int p = 0; p < panelsAtOnce; ++p)
        for (const uint8_t* end = ahead[p] + prefetchBytes; ahead[p] < end; ahead[p] += lineBytes)
          __builtin_prefetch(ahead[p], 0, 2);  // not into L1, which holds the tile
      I sums[rows][vectors];
#pragma GCC unroll 16
      for (int r = 0; r < rows; ++r)
#pragma GCC unroll 4
        for (int v = 0; v < vectors; ++v)
          sums[r][v] = I{} + (hasMinimums || q8IsSigned ? 0 : groupSums[r].offset);
      addGroup<format, rows>(sums, values, activations, group);
#pragma GCC unroll 4
      for (int v = 0; v < vectors; ++v) {
        const int64_t part = g * 16 + v % vectorsPerPanel * lanes;
        const F scales = loadHalves(panels[v / vectorsPerPanel].scales + part);
        F minimums = {};
        if constexpr (hasMinimums) minimums = loadHalves(panels[v / vectorsPerPanel].minimums + part);
#pragma GCC unroll 16
        for (int r = 0; r < rows; ++r) {
          F product = scales * __builtin_convertvector(sums[r][v], F);
          if constexpr (hasMinimums) product = fusedMultiplyAdd(minimums, splat(groupSums[r].sum), product);
          totals[r][v] = fusedMultiplyAdd(splat(activationScales[r]), product, totals[r][v]);
        }
      }
      for (int p = 0; p < panelsAtOnce; ++p) values[p] += groupBytes;
      activations += group * rows;
      groupSums += rows;
      activationScales += rows;
    }
#pragma GCC unroll 16
    for (int r = 0; r < rows; ++r)
#pragma GCC unroll 4
      for (int v = 0; v < vectors; ++v) store(target + r * panelPair + v * lanes, totals[r][v]);
  }
}

template <uint8_t format, int rows = registerRows>
static void multiplyTile(const QuantizedTile& x, const PanelPair& weights, float* out) {
  if (x.rows == rows) {
    multiplyRows<format, rows>(x, weights, out);
  } else if constexpr (rows > 1) {
    multiplyTile<format, rows - 1>(x, weights, out);
  }
}

static inline void multiplyInRegisters(const QuantizedTile& x, const PanelPair& weights, float* out) {
  if (weights.format == formatQ8) {
    multiplyTile<formatQ8>(x, weights, out);
  } else if (weights.format == formatQ5) {
    multiplyTile<formatQ5>(x, weights, out);
  } else {
    multiplyTile<formatQ4>(x, weights, out);
  }
}

#ifndef RND1_USES_TILES
constexpr int independentSums = 12;
constexpr int64_t integerMultiplyAdds = independentSums * lanes * productsPerLane;

/** See QuantizedKernels. */
static int32_t integerLoop(int64_t rounds, int32_t seed) {
  uint8_t stored[lanes * 4];
  int8_t values[4] = {1, -1, 2, static_cast<int8_t>(seed)};
  for (int i = 0; i < lanes * 4; ++i) stored[i] = static_cast<uint8_t>(seed + i);
  const Q8 weights = bytes(loadLine(stored));
  // Equal initial sums, or products of the same activations, would be computed only once.
  const int8_t* quad = values;
  I sums[independentSums];
#pragma GCC unroll 12
  for (int i = 0; i < independentSums; ++i) sums[i] = I{} + i;
  for (int64_t round = 0; round < rounds; ++round) {
#pragma GCC unroll 12
    for (int i = 0; i < independentSums; ++i) {
      __asm__ volatile("" : "+r"(quad) : : "memory");
      sums[i] = dot(sums[i], weights, loadQuad(quad));
    }
  }
  I total = {};
#pragma GCC unroll 12
  for (int i = 0; i < independentSums; ++i) total += sums[i];
  int32_t sum = 0;
  for (int lane = 0; lane < lanes; ++lane) sum += total[lane];
  return sum;
}
#endif
