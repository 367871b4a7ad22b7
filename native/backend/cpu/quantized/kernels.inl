// The kernels of matmuls with quantized weights, compiled once per instruction set. The including unit
// defines RND1_ISA (a namespace of its own), RND1_ISA_NAME, RND1_LANES and RND1_TILE_ROWS, and includes the
// intrinsics it needs. Everything here is static.

namespace rnd1::cpu::RND1_ISA {
namespace {

#include "backend/cpu/quantized/vector.inl"

// Wide vectors hold a whole panel and process both panels of a pair together, narrow ones a part of one.
constexpr int vectorsPerPanel = 16 / lanes;
constexpr int panelsAtOnce = vectorsPerPanel == 1 ? 2 : 1;
constexpr int vectors = vectorsPerPanel * panelsAtOnce;
constexpr int lineBytes = 64;

// --- Activations ------------------------------------------------------------------------------------------

constexpr int64_t largestGroup = 64;

/** Magnitudes compare as integers; NaN is above infinity. */
static inline uint32_t largestMagnitude(const float* values) {
  I largest = {};
  for (int64_t i = 0; i < largestGroup; i += lanes) {
    const I magnitude = (I)load(values + i) & 0x7fffffff;
    const I above = magnitude > largest;
    largest = (magnitude & above) | (largest & ~above);
  }
  uint32_t result = 0;
  for (int lane = 0; lane < lanes; ++lane)
    result = static_cast<uint32_t>(largest[lane]) > result ? static_cast<uint32_t>(largest[lane]) : result;
  return result;
}

/** bytes[i] = the integer nearest to values[i] · inverse; returns their sum. */
static inline int32_t roundToBytes(const float* values, float inverse, int8_t* bytes) {
  typedef int8_t B __attribute__((vector_size(RND1_LANES)));
  I sums = {};
  for (int64_t i = 0; i < largestGroup; i += lanes) {
    // Adding 1.5 · 2^23 leaves the rounded integer in the low bits.
    const I rounded = (I)(load(values + i) * inverse + 12582912.0f) - 0x4b400000;
    sums += rounded;
    const B narrow = __builtin_convertvector(rounded, B);
    __builtin_memcpy(bytes + i, &narrow, sizeof narrow);
  }
  int32_t sum = 0;
  for (int lane = 0; lane < lanes; ++lane) sum += sums[lane];
  return sum;
}

static void quantize(const float* x, int64_t columns, int64_t group, int32_t factor,
                     const QuantizedRow& out) {
  int8_t* quads = out.values;
  for (int64_t first = 0, index = 0; first < columns; first += group, index += out.groupStride) {
    const int64_t count = columns - first < group ? columns - first : group;
    float padded[largestGroup];
    const float* values = x + first;
    if (count < largestGroup) {
      __builtin_memset(padded, 0, sizeof padded);
      __builtin_memcpy(padded, values, static_cast<size_t>(count) * 4);
      values = padded;
    }
    const uint32_t largest = largestMagnitude(values);
    int8_t bytes[largestGroup];
    int32_t sum = 0;
    float scale = 0;
    if (largest >= 0x0d800000u && largest < 0x7f800000u) {  // 2⁻¹⁰⁰: its reciprocal is finite
      float magnitude;
      __builtin_memcpy(&magnitude, &largest, sizeof magnitude);
      scale = magnitude / 127.0f;
      sum = roundToBytes(values, 127.0f / magnitude, bytes);
    } else {
      __builtin_memset(bytes, 0, sizeof bytes);
      if (largest >= 0x7f800000u) scale = __builtin_nanf("");
    }
    out.scales[index] = scale;
    out.offsets[index] = factor * sum;
    for (int64_t i = 0; i < group; i += 4, quads += out.quadStride) __builtin_memcpy(quads, bytes + i, 4);
  }
}

// --- Products ---------------------------------------------------------------------------------------------

/** sums[r] += products of one quad of columns. */
template <int rows, typename Sums, typename Weights>
static inline void addQuad(Sums (*sums)[vectors], const Weights* weights, const int8_t* x) {
#pragma GCC unroll 16
  for (int r = 0; r < rows; ++r) {
    const Quad quad = loadQuad(x + r * 4);
#pragma GCC unroll 4
    for (int v = 0; v < vectors; ++v) sums[r][v] = dot(sums[r][v], weights[v], quad);
  }
}

/** The same for both quads in a line of nibbles. */
template <int rows, typename Sums>
static inline void addNibbles(Sums (*sums)[vectors], const Line* lines, const int8_t* x) {
  Q4 weights[vectors];
#pragma GCC unroll 4
  for (int v = 0; v < vectors; ++v) weights[v] = lowNibbles(lines[v]);
  addQuad<rows>(sums, weights, x);
#pragma GCC unroll 4
  for (int v = 0; v < vectors; ++v) weights[v] = highNibbles(lines[v]);
  addQuad<rows>(sums, weights, x + rows * 4);
}

/** sums[r] += products of one group of columns. values: a pointer per panel. */
template <uint8_t format, int rows>
static inline void addGroup(I (*sums)[vectors], const uint8_t* const* values, const int8_t* x,
                            int64_t group) {
  const uint8_t* first = values[0];
  const uint8_t* last = values[panelsAtOnce - 1];
  const auto loadLines = [&](int64_t index, Line* lines) {
#pragma GCC unroll 4
    for (int v = 0; v < vectors; ++v)
      lines[v] = loadLine((v < vectorsPerPanel ? first : last) + index * lineBytes +
                          v % vectorsPerPanel * lanes * 4);
  };
  Line lines[vectors];
  if constexpr (format == formatQ8) {
    for (int64_t index = 0; index < group / 4; ++index) {
      Q8 weights[vectors];
      loadLines(index, lines);
#pragma GCC unroll 4
      for (int v = 0; v < vectors; ++v) weights[v] = bytes(lines[v]);
      addQuad<rows>(sums, weights, x + index * rows * 4);
    }
  } else if constexpr (nibblesAddInWords) {
    for (int64_t begin = 0; begin < group / 8; begin += 4) {
      NibbleSums part[rows][vectors] = {};
      for (int64_t index = begin; index < begin + 4; ++index) {
        loadLines(index, lines);
        addNibbles<rows>(part, lines, x + index * rows * 8);
      }
#pragma GCC unroll 16
      for (int r = 0; r < rows; ++r)
#pragma GCC unroll 4
        for (int v = 0; v < vectors; ++v) sums[r][v] = fold(sums[r][v], part[r][v]);
    }
  } else {
    for (int64_t index = 0; index < group / 8; ++index) {
      loadLines(index, lines);
      addNibbles<rows>(sums, lines, x + index * rows * 8);
    }
  }
}

template <uint8_t format, int rows>
static void multiplyRows(const QuantizedTile& x, const PanelPair& weights, float* __restrict out) {
  // Local copies, since a store to `out` might alias the references.
  constexpr bool hasMinimums = format == formatQ4;
  const int64_t groups = weights.groups, group = weights.group;
  const int64_t groupBytes = group / (format == formatQ8 ? 4 : 8) * lineBytes;
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
    const int32_t* offsets = x.offsets;
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
        for (int v = 0; v < vectors; ++v) sums[r][v] = I{} + (hasMinimums || q8IsSigned ? 0 : offsets[r]);
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
          if constexpr (hasMinimums)
            product = fusedMultiplyAdd(minimums, splat(static_cast<float>(offsets[r])), product);
          totals[r][v] = fusedMultiplyAdd(splat(activationScales[r]), product, totals[r][v]);
        }
      }
      for (int p = 0; p < panelsAtOnce; ++p) values[p] += groupBytes;
      activations += group * rows;
      offsets += rows;
      activationScales += rows;
    }
#pragma GCC unroll 16
    for (int r = 0; r < rows; ++r)
#pragma GCC unroll 4
      for (int v = 0; v < vectors; ++v) store(target + r * panelPair + v * lanes, totals[r][v]);
  }
}

template <uint8_t format, int rows = RND1_TILE_ROWS>
static void multiplyTile(const QuantizedTile& x, const PanelPair& weights, float* out) {
  if (x.rows == rows) {
    multiplyRows<format, rows>(x, weights, out);
  } else if constexpr (rows > 1) {
    multiplyTile<format, rows - 1>(x, weights, out);
  }
}

static void multiply(const QuantizedTile& x, const PanelPair& weights, float* out) {
  if (weights.format == formatQ8) {
    multiplyTile<formatQ8>(x, weights, out);
  } else {
    multiplyTile<formatQ4>(x, weights, out);
  }
}

// --- Outputs ----------------------------------------------------------------------------------------------

static void swiglu(const float* sums, int64_t rows, float* out, int64_t stride) {
  for (int64_t r = 0; r < rows; ++r, sums += panelPair, out += stride)
    for (int64_t n = 0; n < 16; n += lanes) {
      const F gate = load(sums + n);
      store(out + n, gate / (exponential(-gate) + 1.0f) * load(sums + 16 + n));
    }
}

static void accumulate(const float* sums, const int32_t* rows, const float* weights, int64_t count,
                       float* out) {
  for (int64_t r = 0; r < count; ++r, sums += panelPair) {
    float* target = out + rows[r] * panelPair;
    const F weight = splat(weights[r]);
    for (int64_t n = 0; n < panelPair; n += lanes)
      store(target + n, fusedMultiplyAdd(weight, load(sums + n), load(target + n)));
  }
}

// --- Peak -------------------------------------------------------------------------------------------------

constexpr int independentSums = 12;

static int32_t integerLoop(int64_t rounds, int32_t seed) {
  uint8_t stored[lanes * 4];
  int8_t values[4] = {1, -1, 2, static_cast<int8_t>(seed)};
  for (int i = 0; i < lanes * 4; ++i) stored[i] = static_cast<uint8_t>(seed + i);
  const Q8 weights = bytes(loadLine(stored));
  // Equal initial sums, or a constant product, would be computed only once.
  const int8_t* quad = values;
  I sums[independentSums];
#pragma GCC unroll 12
  for (int i = 0; i < independentSums; ++i) sums[i] = I{} + i;
  for (int64_t round = 0; round < rounds; ++round) {
    __asm__ volatile("" : "+r"(quad) : : "memory");
    const Quad activations = loadQuad(quad);
#pragma GCC unroll 12
    for (int i = 0; i < independentSums; ++i) sums[i] = dot(sums[i], weights, activations);
  }
  I total = {};
#pragma GCC unroll 12
  for (int i = 0; i < independentSums; ++i) total += sums[i];
  int32_t sum = 0;
  for (int lane = 0; lane < lanes; ++lane) sum += total[lane];
  return sum;
}

constexpr QuantizedKernels table = {
    RND1_ISA_NAME, RND1_TILE_ROWS, quantize,    multiply,
    swiglu,        accumulate,     integerLoop, independentSums* lanes * 4,
};

}  // namespace
}  // namespace rnd1::cpu::RND1_ISA
