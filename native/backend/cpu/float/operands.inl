// Operands of matmuls, `step` elements at a time, and their multiplication. Included by kernels.inl only.
//
// An operand type has: xBytes and weightBytes, per element; Vector, `step` elements; loadX, loadWeight and
// variants for the last `count` < step elements; accumulate(sums, x, weight), which adds step / lanes
// products to each lane.

/** Rows of f32, weights of f32. */
struct F32 {
  typedef F Vector;
  static constexpr int64_t step = lanes, xBytes = 4, weightBytes = 4;
  static inline F loadX(const char* source) { return load(source); }
  static inline F loadWeight(const char* source) { return load(source); }
  static inline F loadLastX(const char* source, int64_t count) { return loadFirst(source, count); }
  static inline F loadLastWeight(const char* source, int64_t count) { return loadFirst(source, count); }
  static inline F accumulate(F sums, F x, F weight) { return multiplyAdd(x, weight, sums); }
};

/** Rows of f32, weights of bf16 widened on load: the same sums as F32 with widened weights. */
struct WidenedBf16 : F32 {
  static constexpr int64_t weightBytes = 2;
  static inline F loadWeight(const char* source) { return bf16ToF32(source); }
  static inline F loadLastWeight(const char* source, int64_t count) {
    uint16_t last[lanes] = {};
    __builtin_memcpy(last, source, static_cast<size_t>(count) * 2);
    return bf16ToF32(last);
  }
};

#if defined(__AVX512BF16__) && RND1_LANES == 16
#define RND1_MULTIPLIES_BF16 1
/** Rows and weights of bf16: vdpbf16ps adds two products to a lane, treating subnormals as zero. */
struct Bf16 {
  typedef __m512i Vector;
  static constexpr int64_t step = 32, xBytes = 2, weightBytes = 2;
  static inline Vector loadX(const char* source) { return _mm512_loadu_si512(source); }
  static inline Vector loadWeight(const char* source) { return _mm512_loadu_si512(source); }
  static inline Vector loadLastX(const char* source, int64_t count) {
    return _mm512_maskz_loadu_epi16((1u << count) - 1, source);
  }
  static inline Vector loadLastWeight(const char* source, int64_t count) { return loadLastX(source, count); }
  static inline F accumulate(F sums, Vector x, Vector weight) {
#if defined(__clang__)
    // Clang 16 recurses endlessly on vectors of its bf16 type.
    asm("vdpbf16ps %2, %1, %0" : "+v"(sums) : "v"(x), "v"(weight));
    return sums;
#else
    return (F)_mm512_dpbf16_ps((__m512)sums, (__m512bh)x, (__m512bh)weight);
#endif
  }
  /** The lanes of two vectors, rounded, one after the other; subnormals become zero. */
  static inline Vector pack(F first, F second) {
#if defined(__clang__)
    Vector packed;
    asm("vcvtne2ps2bf16 %1, %2, %0" : "=v"(packed) : "v"(first), "v"(second));
    return packed;
#else
    return (Vector)_mm512_cvtne2ps_pbh((__m512)second, (__m512)first);
#endif
  }
};
#elif defined(__ARM_FEATURE_BF16_VECTOR_ARITHMETIC) && RND1_LANES == 4
#define RND1_MULTIPLIES_BF16 1
/** Rows and weights of bf16: bfdot adds two products to a lane. */
struct Bf16 {
  typedef uint16x8_t Vector;
  static constexpr int64_t step = 8, xBytes = 2, weightBytes = 2;
  static inline Vector loadX(const char* source) {
    Vector vector;
    __builtin_memcpy(&vector, source, sizeof vector);
    return vector;
  }
  static inline Vector loadWeight(const char* source) { return loadX(source); }
  static inline Vector loadLastX(const char* source, int64_t count) {
    Vector vector = {};
    __builtin_memcpy(&vector, source, static_cast<size_t>(count) * 2);
    return vector;
  }
  static inline Vector loadLastWeight(const char* source, int64_t count) { return loadLastX(source, count); }
  static inline F accumulate(F sums, Vector x, Vector weight) {
    return (F)vbfdotq_f32((float32x4_t)sums, vreinterpretq_bf16_u16(x), vreinterpretq_bf16_u16(weight));
  }
  /** The lanes of two vectors, rounded, one after the other. */
  static inline Vector pack(F first, F second) {
    const bfloat16x8_t low = vcvtq_low_bf16_f32((float32x4_t)first);
    return vreinterpretq_u16_bf16(vcvtq_high_bf16_f32(low, (float32x4_t)second));
  }
};
#endif

#if defined(RND1_USES_FMLAL)
#define RND1_MULTIPLIES_F16 1
/** Rows and weights of f16: fmlal and fmlal2 add one exact product each to a lane. */
struct F16 {
  typedef float16x8_t Vector;
  static constexpr int64_t step = 8, xBytes = 2, weightBytes = 2;
  static inline Vector loadX(const char* source) {
    Vector vector;
    __builtin_memcpy(&vector, source, sizeof vector);
    return vector;
  }
  static inline Vector loadWeight(const char* source) { return loadX(source); }
  static inline Vector loadLastX(const char* source, int64_t count) {
    Vector vector = {};
    __builtin_memcpy(&vector, source, static_cast<size_t>(count) * 2);
    return vector;
  }
  static inline Vector loadLastWeight(const char* source, int64_t count) { return loadLastX(source, count); }
  static inline F accumulate(F sums, Vector x, Vector weight) {
    return (F)vfmlalq_high_f16(vfmlalq_low_f16((float32x4_t)sums, x, weight), x, weight);
  }
};
#endif
