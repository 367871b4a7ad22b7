// The kernels of matmuls with quantized weights, compiled once per instruction set. The including unit
// defines RND1_ISA (a namespace of its own), RND1_ISA_NAME, RND1_LANES and RND1_TILE_ROWS, and includes the
// intrinsics it needs beyond SSE2. With RND1_USES_TILES, products are computed in the tiles of tiles.inl,
// with RND1_MULTIPLIES_PAIRS those of pairs of rows.
// Everything here is static.

#if defined(__SSE2__)
#include <emmintrin.h>
#endif

namespace rnd1::cpu::RND1_ISA {
namespace {

#include "backend/cpu/quantized/vector.inl"

constexpr int vectorsPerPanel = 16 / lanes;
constexpr int lineBytes = 64;

#include "backend/cpu/quantized/register_products.inl"
#ifdef RND1_USES_TILES
#include "backend/cpu/tiles.inl"
// After the tiles that it uses.
#include "backend/cpu/quantized/tile_products.inl"
#endif

// --- Activations ------------------------------------------------------------------------------------------

constexpr int64_t largestGroup = 64;

/** op(…) of all lanes. */
template <typename Op>
static inline int32_t foldLanes(I vector, Op op) {
  typedef int32_t Four __attribute__((vector_size(16)));
  Four parts[lanes / 4];
  __builtin_memcpy(parts, &vector, sizeof vector);
  for (int i = 1; i < lanes / 4; ++i) parts[0] = op(parts[0], parts[i]);
  parts[0] = op(parts[0], __builtin_shufflevector(parts[0], parts[0], 2, 3, 0, 1));
  parts[0] = op(parts[0], __builtin_shufflevector(parts[0], parts[0], 1, 0, 3, 2));
  return parts[0][0];
}

/** Magnitudes compare as integers; NaN is above infinity. */
static inline uint32_t largestMagnitude(const float* values) {
  const auto larger = [](auto a, auto b) { return a > b ? a : b; };
  I largest = {};
  for (int64_t i = 0; i < largestGroup; i += lanes)
    largest = larger(largest, (I)load(values + i) & 0x7fffffff);
  return static_cast<uint32_t>(foldLanes(largest, larger));
}

/** Stores the integers of four vectors, each within a byte. */
static inline void storeBytes(const I* integers, int8_t* bytes) {
#if defined(__AVX2__) && RND1_LANES == 8
  const __m256i low = _mm256_packs_epi32((__m256i)integers[0], (__m256i)integers[1]);
  const __m256i high = _mm256_packs_epi32((__m256i)integers[2], (__m256i)integers[3]);
  // Packing keeps to the halves of a vector.
  const __m256i order = _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7);
  const __m256i packed = _mm256_permutevar8x32_epi32(_mm256_packs_epi16(low, high), order);
  __builtin_memcpy(bytes, &packed, sizeof packed);
#elif defined(__SSE2__) && RND1_LANES == 4
  const __m128i low = _mm_packs_epi32((__m128i)integers[0], (__m128i)integers[1]);
  const __m128i packed = _mm_packs_epi16(low, _mm_packs_epi32((__m128i)integers[2], (__m128i)integers[3]));
  __builtin_memcpy(bytes, &packed, sizeof packed);
#else
  typedef int8_t B __attribute__((vector_size(RND1_LANES)));
  for (int i = 0; i < 4; ++i) {
    const B narrow = __builtin_convertvector(integers[i], B);
    __builtin_memcpy(bytes + i * lanes, &narrow, sizeof narrow);
  }
#endif
}

/** bytes[i] = the integer nearest to values[i] · inverse; returns their sum. */
static inline int32_t roundToBytes(const float* values, float inverse, int8_t* bytes) {
  I sums = {};
  for (int64_t i = 0; i < largestGroup; i += 4 * lanes) {
    I rounded[4];
#pragma GCC unroll 4
    for (int v = 0; v < 4; ++v) {
      // Adding 1.5 · 2^23 leaves the rounded integer in the low bits.
      rounded[v] = (I)(load(values + i + v * lanes) * inverse + 12582912.0f) - 0x4b400000;
      sums += rounded[v];
    }
    storeBytes(rounded, bytes + i);
  }
  return foldLanes(sums, [](auto a, auto b) { return a + b; });
}

static void quantize(const float* x, int64_t columns, int64_t group, uint8_t format,
                     const QuantizedRow& out) {
  int8_t* groupValues = out.values;
  for (int64_t first = 0, index = 0; first < columns;
       first += group, index += out.groupStride, groupValues += out.groupBytes) {
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
    if (format == formatQ8) {
      out.sums[index].offset = -128 * sum;
    } else {
      out.sums[index].sum = static_cast<float>(sum);
    }
    if (out.quadStride == 4) {
      __builtin_memcpy(groupValues, bytes, static_cast<size_t>(group));
      continue;
    }
    for (int64_t i = 0; i < group; i += 4)
      __builtin_memcpy(groupValues + i / 4 * out.quadStride, bytes + i, 4);
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

#ifndef RND1_USES_TILES
constexpr int64_t tileRows = registerRows, rowsByGroup = registerRows + 1;

static void multiply(const QuantizedTile& x, const PanelPair& weights, float* out) {
  multiplyInRegisters(x, weights, out);
}
#endif

constexpr QuantizedKernels table = {
    RND1_ISA_NAME, tileRows,    rowsByGroup,         quantize, multiply, swiglu,
    accumulate,    integerLoop, integerMultiplyAdds,
};

}  // namespace
}  // namespace rnd1::cpu::RND1_ISA
