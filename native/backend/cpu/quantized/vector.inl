// Vectors of RND1_LANES outputs, and int8 dot products on them, for one instruction set. Included by
// kernels.inl only.
//
// A line is RND1_LANES rows × 4 columns of a panel. The weights of a line are multiplied by four activations,
// the same for all rows: dot(sums, weights, quad) adds four products to each row's integer sum. With
// RND1_MULTIPLIES_PAIRS, `dot` multiplies pairs of rows instead (pair_products.inl).

typedef float F __attribute__((vector_size(RND1_LANES * 4)));
typedef int32_t I __attribute__((vector_size(RND1_LANES * 4)));
typedef uint32_t U __attribute__((vector_size(RND1_LANES * 4)));

constexpr int lanes = RND1_LANES;

/** Keeps compilers from computing several products before they are added, for which there is no register. */
template <typename Sums>
static inline void stayInOrder([[maybe_unused]] Sums& sums) {
#if defined(__AVXVNNI__)
  __asm__ volatile("" : "+x"(sums));
#endif
}

/** Products that one `dot` adds to each lane. */
#ifdef RND1_MULTIPLIES_PAIRS
constexpr int productsPerLane = 8;
#else
constexpr int productsPerLane = 4;
#endif

#if !defined(__AVX2__) || defined(__AVXVNNI__) || RND1_LANES != 8
/** Accumulators of nibble products: those of the sums, unless narrower ones are faster. */
typedef I NibbleSums;
constexpr bool nibblesAddInWords = false;
static inline I fold(I sums, NibbleSums more) { return sums + more; }
#endif

static inline F load(const float* source) {
  F vector;
  __builtin_memcpy(&vector, source, sizeof vector);
  return vector;
}

static inline void store(float* destination, F vector) {
  __builtin_memcpy(destination, &vector, sizeof vector);
}

static inline F splat(float value) { return value - F{}; }
static inline F select(I mask, F yes, F no) { return (F)(((I)yes & mask) | ((I)no & ~mask)); }

#if defined(__AVX512VNNI__) && RND1_LANES == 16

typedef __m512i Line;
typedef __m512i Q8;
typedef __m512i Q4;
typedef __m512i Quad;

/** Whether `Q8` holds stored − 128, so that sums need no offset. */
constexpr bool q8IsSigned = false;

static inline Line loadLine(const uint8_t* source) { return _mm512_loadu_si512(source); }
static inline Q8 bytes(Line line) { return line; }
static inline Q4 smallIntegers(Line line) { return line; }
static inline Line lowNibbles(Line line) { return _mm512_and_si512(line, _mm512_set1_epi8(15)); }
static inline Line highNibbles(Line line) {
  return _mm512_and_si512(_mm512_srli_epi16(line, 4), _mm512_set1_epi8(15));
}
static inline Quad loadQuad(const int8_t* source) {
  int32_t quad;
  __builtin_memcpy(&quad, source, sizeof quad);
  return _mm512_set1_epi32(quad);
}
static inline I dot(I sums, __m512i weights, Quad x) {
  return (I)_mm512_dpbusd_epi32((__m512i)sums, weights, x);
}
static inline F fusedMultiplyAdd(F a, F b, F c) {
  return (F)_mm512_fmadd_ps((__m512)a, (__m512)b, (__m512)c);
}
static inline F loadHalves(const uint16_t* source) {
  return (F)_mm512_cvtph_ps(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(source)));
}

#elif defined(__AVX2__) && RND1_LANES == 8

typedef __m256i Line;
typedef __m256i Q4;
typedef __m256i Quad;

static inline Line loadLine(const uint8_t* source) {
  return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(source));
}
static inline Q4 smallIntegers(Line line) { return line; }
static inline Line lowNibbles(Line line) { return _mm256_and_si256(line, _mm256_set1_epi8(15)); }
static inline Line highNibbles(Line line) {
  return _mm256_and_si256(_mm256_srli_epi16(line, 4), _mm256_set1_epi8(15));
}
static inline Quad loadQuad(const int8_t* source) {
  int32_t quad;
  __builtin_memcpy(&quad, source, sizeof quad);
  return _mm256_set1_epi32(quad);
}

#if defined(__AVXVNNI__)
typedef __m256i Q8;
constexpr bool q8IsSigned = false;
static inline Q8 bytes(Line line) { return line; }
static inline I dot(I sums, __m256i weights, Quad x) {
  return (I)_mm256_dpbusd_avx_epi32((__m256i)sums, weights, x);
}
#else
/** vpmaddubsw saturates at 2 · 255 · 127, but not at 2 · 128 · 127: so weights become magnitudes, and x
 * takes their signs. */
struct Q8 {
  __m256i magnitudes, values;
};
constexpr bool q8IsSigned = true;
static inline Q8 bytes(Line line) {
  const __m256i values = _mm256_xor_si256(line, _mm256_set1_epi8(-128));
  return {_mm256_abs_epi8(values), values};
}
static inline I dot(I sums, const Q8& weights, Quad x) {
  const __m256i pairs = _mm256_maddubs_epi16(weights.magnitudes, _mm256_sign_epi8(x, weights.values));
  return sums + (I)_mm256_madd_epi16(pairs, _mm256_set1_epi16(1));
}
/** Eight sums of two products fit 16 bits, of five bits four: 8 · 2 · 15 · 127 < 4 · 2 · 31 · 127 < 2¹⁵. */
struct NibbleSums {
  __m256i pairs;
};
constexpr bool nibblesAddInWords = true;
static inline NibbleSums dot(NibbleSums sums, Q4 weights, Quad x) {
  __m256i pairs = _mm256_add_epi16(sums.pairs, _mm256_maddubs_epi16(weights, x));
  // Otherwise compilers add all products of a tile at the end, and keep them in memory until then.
  __asm__("" : "+x"(pairs));
  return {pairs};
}
static inline I fold(I sums, NibbleSums more) {
  return sums + (I)_mm256_madd_epi16(more.pairs, _mm256_set1_epi16(1));
}
#endif

static inline F fusedMultiplyAdd(F a, F b, F c) {
  return (F)_mm256_fmadd_ps((__m256)a, (__m256)b, (__m256)c);
}
static inline F loadHalves(const uint16_t* source) {
  return (F)_mm256_cvtph_ps(_mm_loadu_si128(reinterpret_cast<const __m128i*>(source)));
}

#elif defined(__ARM_FEATURE_DOTPROD) && RND1_LANES == 4

typedef uint8x16_t Line;
typedef int8x16_t Quad;

static inline Line loadLine(const uint8_t* source) { return vld1q_u8(source); }
static inline Line lowNibbles(Line line) { return vandq_u8(line, vdupq_n_u8(15)); }
static inline Line highNibbles(Line line) { return vshrq_n_u8(line, 4); }
#ifdef RND1_MULTIPLIES_PAIRS
typedef uint8x16_t Q8;
typedef uint8x16_t Q4;
constexpr bool q8IsSigned = false;
static inline Q8 bytes(Line line) { return line; }
static inline Q4 smallIntegers(Line line) { return line; }
static inline I dot(I sums, uint8x16_t weights, Quad x) {
  return (I)vusmmlaq_s32((int32x4_t)sums, weights, x);
}
#else
typedef int8x16_t Q8;
typedef int8x16_t Q4;
constexpr bool q8IsSigned = true;
static inline Q8 bytes(Line line) { return vreinterpretq_s8_u8(veorq_u8(line, vdupq_n_u8(128))); }
static inline Q4 smallIntegers(Line line) { return vreinterpretq_s8_u8(line); }
static inline I dot(I sums, int8x16_t weights, Quad x) { return (I)vdotq_s32((int32x4_t)sums, weights, x); }
#endif
static inline Quad loadQuad(const int8_t* source) {
  int32_t quad;
  __builtin_memcpy(&quad, source, sizeof quad);
  return vreinterpretq_s8_s32(vdupq_n_s32(quad));
}
static inline F fusedMultiplyAdd(F a, F b, F c) {
  return (F)vfmaq_f32((float32x4_t)c, (float32x4_t)a, (float32x4_t)b);
}
static inline F loadHalves(const uint16_t* source) {
  return (F)vcvt_f32_f16(vreinterpret_f16_u16(vld1_u16(source)));
}

#else

typedef uint8_t Line __attribute__((vector_size(RND1_LANES * 4)));

constexpr bool q8IsSigned = false;

static inline Line loadLine(const uint8_t* source) {
  Line line;
  __builtin_memcpy(&line, source, sizeof line);
  return line;
}
static inline Line lowNibbles(Line line) { return line & 15; }
static inline Line highNibbles(Line line) { return line >> 4; }

static inline F fusedMultiplyAdd(F a, F b, F c) {
  F result;
  for (int lane = 0; lane < lanes; ++lane) result[lane] = __builtin_fmaf(a[lane], b[lane], c[lane]);
  return result;
}

/** The multiplication rebases the exponent and normalises subnormals. */
static inline F loadHalves(const uint16_t* source) {
  U bits = {};
  for (int lane = 0; lane < lanes; ++lane) bits[lane] = source[lane];
  const U magnitude = bits & 0x7fffu;
  const F finite = (F)(magnitude << 13) * 0x1p112f;
  const F special = (F)((magnitude << 13) | 0x7f800000u);
  return (F)((U)select((I)(magnitude >= 0x7c00u), special, finite) | ((bits & 0x8000u) << 16));
}

#if defined(__SSE2__) && RND1_LANES == 4
/** Two rows per vector of 16-bit words, for pmaddwd. */
struct Wide {
  __m128i low, high;
};
static inline Wide bytes(Line line) {
  const __m128i zero = _mm_setzero_si128();
  return {_mm_unpacklo_epi8((__m128i)line, zero), _mm_unpackhi_epi8((__m128i)line, zero)};
}
typedef __m128i Quad;
static inline Quad loadQuad(const int8_t* source) {
  int32_t quad;
  __builtin_memcpy(&quad, source, sizeof quad);
  const __m128i all = _mm_set1_epi32(quad);
  return _mm_srai_epi16(_mm_unpacklo_epi8(all, all), 8);
}
static inline I dot(I sums, const Wide& weights, Quad x) {
  const __m128 low = _mm_castsi128_ps(_mm_madd_epi16(weights.low, x));
  const __m128 high = _mm_castsi128_ps(_mm_madd_epi16(weights.high, x));
  const I even = (I)_mm_shuffle_ps(low, high, 0x88), odd = (I)_mm_shuffle_ps(low, high, 0xdd);
  return sums + (even + odd);
}
#else
typedef Line Wide;
static inline Wide bytes(Line line) { return line; }
struct Quad {
  int8_t values[4];
};
static inline Quad loadQuad(const int8_t* source) { return {{source[0], source[1], source[2], source[3]}}; }
static inline I dot(I sums, const Wide& weights, const Quad& x) {
  for (int lane = 0; lane < lanes; ++lane)
    for (int j = 0; j < 4; ++j) sums[lane] += weights[4 * lane + j] * x.values[j];
  return sums;
}
#endif

typedef Wide Q8;
typedef Wide Q4;
static inline Q4 smallIntegers(Line line) { return bytes(line); }

#endif

/** 16 in each byte whose bit, of those that `fifths` has of 8 columns, is set. */
static inline Line fifthBits(Line fifths, int bit) {
  typedef uint16_t Halves __attribute__((vector_size(RND1_LANES * 4)));
  const Halves halves = (Halves)fifths;
  return (Line)((bit < 4 ? halves << (4 - bit) : halves >> (bit - 4)) & 0x1010);
}
/** Integers of five bits: those of the first four columns of line `index` of four, and of the last four. */
static inline Q4 lowFiveBits(Line line, Line fifths, int index) {
  return smallIntegers((Line)((I)lowNibbles(line) | (I)fifthBits(fifths, 2 * index)));
}
static inline Q4 highFiveBits(Line line, Line fifths, int index) {
  return smallIntegers((Line)((I)highNibbles(line) | (I)fifthBits(fifths, 2 * index + 1)));
}

/** Elementwise and without fused operations, which some instruction sets lack, so that all give the same
 * bits. */
static inline F exponential(F x) {
  // Cody-Waite reduction by ln 2 and the degree-5 polynomial of Cephes' expf (Moshier), within 3 ulp; the
  // argument is clamped to ±87, NaN stays.
  x = select(x > splat(87.0f), splat(87.0f), x);
  x = select(x < splat(-87.0f), splat(-87.0f), x);
  const F shifted =
      x * 1.44269504f + 12582912.0f;  // 1.5 · 2^23: rounds to an integer in the low mantissa bits
  const F n = shifted - 12582912.0f;
  const F r = (x - n * 0.693359375f) + n * 2.12194440e-4f;
  F p = splat(1.9875691500e-4f);
  p = p * r + 1.3981999507e-3f;
  p = p * r + 8.3334519073e-3f;
  p = p * r + 4.1665795894e-2f;
  p = p * r + 1.6666665459e-1f;
  p = p * r + 5.0000001201e-1f;
  p = p * (r * r) + r + 1.0f;
  return p * (F)(((U)shifted + 127u) << 23);
}
