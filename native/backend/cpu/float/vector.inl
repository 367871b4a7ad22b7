// Vectors of RND1_LANES floats and the few operations on them. Included by kernels.inl only.

typedef float F __attribute__((vector_size(RND1_LANES * 4)));
typedef int32_t I __attribute__((vector_size(RND1_LANES * 4)));
typedef uint32_t U __attribute__((vector_size(RND1_LANES * 4)));
typedef uint16_t H __attribute__((vector_size(RND1_LANES * 2)));
typedef uint64_t W __attribute__((vector_size(RND1_LANES * 4)));
typedef double D __attribute__((vector_size(RND1_LANES * 8)));

constexpr int64_t lanes = RND1_LANES;

static inline F load(const void* source) {
  F vector;
  __builtin_memcpy(&vector, source, sizeof vector);
  return vector;
}

/** The first `count` < lanes elements, then zeros. */
static inline F loadFirst(const void* source, int64_t count) {
#if defined(__AVX512F__) && RND1_LANES == 16
  return (F)_mm512_maskz_loadu_ps(static_cast<__mmask16>((1u << count) - 1), source);
#else
  F vector = {};
  __builtin_memcpy(&vector, source, static_cast<size_t>(count) * 4);
  return vector;
#endif
}

static inline void store(float* destination, F vector) {
  __builtin_memcpy(destination, &vector, sizeof vector);
}

static inline void storeFirst(float* destination, F vector, int64_t count) {
  __builtin_memcpy(destination, &vector, static_cast<size_t>(count) * 4);
}

static inline F splat(float value) { return value - F{}; }

static inline F multiplyAdd(F a, F b, F c) {
#if defined(__AVX512F__) && RND1_LANES == 16
  return (F)_mm512_fmadd_ps((__m512)a, (__m512)b, (__m512)c);
#elif defined(__FMA__) && RND1_LANES == 8
  return (F)_mm256_fmadd_ps((__m256)a, (__m256)b, (__m256)c);
#elif defined(__aarch64__)
  return (F)vfmaq_f32((float32x4_t)c, (float32x4_t)a, (float32x4_t)b);
#else
  return a * b + c;
#endif
}

static inline F select(I mask, F yes, F no) { return (F)(((I)yes & mask) | ((I)no & ~mask)); }

// a if it is larger (smaller); b on ties and if either is NaN.
#if defined(__AVX512F__) && RND1_LANES == 16
static inline F maximum(F a, F b) { return (F)_mm512_max_ps((__m512)a, (__m512)b); }
static inline F minimum(F a, F b) { return (F)_mm512_min_ps((__m512)a, (__m512)b); }
#elif defined(__AVX__) && RND1_LANES == 8
static inline F maximum(F a, F b) { return (F)_mm256_max_ps((__m256)a, (__m256)b); }
static inline F minimum(F a, F b) { return (F)_mm256_min_ps((__m256)a, (__m256)b); }
#else
static inline F maximum(F a, F b) { return select(a > b, a, b); }
static inline F minimum(F a, F b) { return select(a < b, a, b); }
#endif

/** Pairwise, in a fixed order. */
static inline double sum(const D& vector) {
  double parts[lanes];
  __builtin_memcpy(parts, &vector, sizeof parts);
  for (int64_t half = lanes / 2; half > 0; half /= 2)
    for (int64_t i = 0; i < half; ++i) parts[i] += parts[i + half];
  return parts[0];
}

/** A bit per lane of a mask, the first lane's lowest. */
static inline uint32_t laneBits(I mask) {
#if defined(__AVX512DQ__) && RND1_LANES == 16
  return _mm512_movepi32_mask((__m512i)mask);
#elif defined(__AVX__) && RND1_LANES == 8
  return static_cast<uint32_t>(_mm256_movemask_ps((__m256)mask));
#elif defined(__SSE2__) && RND1_LANES == 4
  return static_cast<uint32_t>(_mm_movemask_ps((__m128)mask));
#else
  uint32_t bits = 0;
  for (int64_t lane = 0; lane < lanes; ++lane) bits |= static_cast<uint32_t>(mask[lane] & 1) << lane;
  return bits;
#endif
}

static inline bool any(I mask) {
#if defined(__aarch64__)
  return vmaxvq_u32((uint32x4_t)mask) != 0;
#else
  return laneBits(mask) != 0;
#endif
}

/** Vectors whose exponentials fit the registers side by side. */
constexpr int exponentialsAtOnce = lanes == 16 ? 4 : 2;

/**
 * e^x within 2 ulp, 0 below −87.3, NaN for NaN; x is capped at 88. Of several vectors side by side, since
 * each step waits for the one before. Cody-Waite reduction by ln 2 and the degree-5 polynomial of Cephes'
 * expf (Moshier).
 */
template <int count>
static inline void exponentials(F (&x)[count]) {
  const F magic = splat(12582912.0f);  // 1.5 · 2^23: adding it rounds to an integer in the low mantissa bits
  constexpr float polynomial[] = {1.9875691500e-4f, 1.3981999507e-3f, 8.3334519073e-3f,
                                  4.1665795894e-2f, 1.6666665459e-1f, 5.0000001201e-1f};
  I underflow[count];
  F shifted[count], r[count], p[count];
#pragma GCC unroll 4
  for (int i = 0; i < count; ++i) {
    underflow[i] = x[i] < splat(-87.3f);
    x[i] = minimum(splat(88.0f), x[i]);
    shifted[i] = multiplyAdd(x[i], splat(1.44269504f), magic);
  }
#pragma GCC unroll 4
  for (int i = 0; i < count; ++i) r[i] = multiplyAdd(shifted[i] - magic, splat(-0.693359375f), x[i]);
#pragma GCC unroll 4
  for (int i = 0; i < count; ++i) {
    r[i] = multiplyAdd(shifted[i] - magic, splat(2.12194440e-4f), r[i]);
    p[i] = splat(polynomial[0]);
  }
#pragma GCC unroll 5
  for (int term = 1; term < 6; ++term)
#pragma GCC unroll 4
    for (int i = 0; i < count; ++i) p[i] = multiplyAdd(p[i], r[i], splat(polynomial[term]));
#pragma GCC unroll 4
  for (int i = 0; i < count; ++i) {
    p[i] = multiplyAdd(p[i], r[i] * r[i], r[i]) + 1.0f;
    const F power = (F)(((U)shifted[i] + 127u) << 23);
    x[i] = select(underflow[i], F{}, p[i] * power);
  }
}

static inline F exponential(F x) {
  F one[1] = {x};
  exponentials(one);
  return one[0];
}

static inline F roundToBf16(F value) {
  const U bits = (U)value;
  const U rounded = (bits + 0x7fffu + ((bits >> 16) & 1u)) & 0xffff0000u;
  const I isNan = (I)((bits & 0x7fffffffu) > 0x7f800000u);
  return select(isNan, value, (F)rounded);
}

static inline F bf16ToF32(const void* source) {
#if defined(__AVX2__) && RND1_LANES == 8
  // GCC 12 converts the halves of a vector of 8 one after the other.
  const __m256i wide = _mm256_cvtepu16_epi32(_mm_loadu_si128(static_cast<const __m128i*>(source)));
  return (F)_mm256_slli_epi32(wide, 16);
#endif
  H half;
  __builtin_memcpy(&half, source, sizeof half);
  return (F)(__builtin_convertvector(half, U) << 16);
}

#if defined(__AVX512F__) && RND1_LANES == 16
static inline F f16ToF32(const void* source) {
  return (F)_mm512_cvtph_ps(_mm256_loadu_si256(static_cast<const __m256i*>(source)));
}
static inline F roundToF16(F value) {
  return (F)_mm512_cvtph_ps(_mm512_cvtps_ph((__m512)value, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC));
}
#elif defined(__F16C__) && RND1_LANES == 8
static inline F f16ToF32(const void* source) {
  return (F)_mm256_cvtph_ps(_mm_loadu_si128(static_cast<const __m128i*>(source)));
}
static inline F roundToF16(F value) {
  return (F)_mm256_cvtph_ps(_mm256_cvtps_ph((__m256)value, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC));
}
#elif defined(__aarch64__)
static inline F f16ToF32(const void* source) {
  return (F)vcvt_f32_f16(vreinterpret_f16_u16(vld1_u16(static_cast<const uint16_t*>(source))));
}
static inline float16x4_t f32ToF16(F value) { return vcvt_f16_f32((float32x4_t)value); }
static inline F roundToF16(F value) { return (F)vcvt_f32_f16(f32ToF16(value)); }
#else
/** The multiplication rebases the exponent and normalises subnormals. */
static inline F f16ToF32(const void* source) {
  H half;
  __builtin_memcpy(&half, source, sizeof half);
  const U bits = __builtin_convertvector(half, U);
  const U magnitude = bits & 0x7fffu;
  const F finite = (F)(magnitude << 13) * 0x1p112f;
  const F special = (F)((magnitude << 13) | 0x7f800000u);
  return (F)((U)select((I)(magnitude >= 0x7c00u), special, finite) | ((bits & 0x8000u) << 16));
}
/** Adding 2^13 times the value's power of two leaves the 11 bits of binary16, rounded; subnormals have fewer.
 */
static inline F roundToF16(F value) {
  const U bits = (U)value;
  const U sign = bits & 0x80000000u;
  const U magnitude = bits & 0x7fffffffu;
  const U normal = (magnitude + 0xfffu + ((magnitude >> 13) & 1u)) & 0xffffe000u;
  const F subnormal = ((F)magnitude + 0.5f) - 0.5f;
  F result = select((I)(magnitude < 0x38800000u), subnormal, (F)normal);
  result = select((I)(magnitude >= 0x477ff000u), (F)(U{} + 0x7f800000u), result);
  result = select((I)(magnitude > 0x7f800000u), value, result);
  return (F)((U)result | sign);
}
#endif

static inline F roundTo(uint8_t computeDtype, F value) {
  if (computeDtype == formatBf16) return roundToBf16(value);
  if (computeDtype == formatF16) return roundToF16(value);
  return value;
}
