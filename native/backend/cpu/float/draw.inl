// The search for a draw's token, in f32. Included by kernels.inl only.

/** Of the low halves of 64-bit lanes. */
static inline W multiplyLowHalves(W a, W b) {
#if defined(__AVX512F__) && RND1_LANES == 16
  return (W)_mm512_mul_epu32((__m512i)a, (__m512i)b);
#elif defined(__AVX2__) && RND1_LANES == 8
  return (W)_mm256_mul_epu32((__m256i)a, (__m256i)b);
#elif defined(__SSE2__) && RND1_LANES == 4
  return (W)_mm_mul_epu32((__m128i)a, (__m128i)b);
#elif defined(__aarch64__)
  return (W)vmull_u32(vmovn_u64((uint64x2_t)a), vmovn_u64((uint64x2_t)b));
#else
  return (a & 0xffffffffu) * (b & 0xffffffffu);
#endif
}

/** Random words of tokens [4 · block, 4 · block + 2 · lanes), as `philox` of core/random.h computes them. */
static inline void randomWords(const DrawRow& row, uint32_t block, U (&words)[2]) {
  // A counter per 64-bit lane; only its low half counts.
  constexpr uint64_t ascending[8] = {0, 1, 2, 3, 4, 5, 6, 7};
  W blocks;
  __builtin_memcpy(&blocks, ascending, sizeof blocks);
  W counters[4] = {blocks + block, W{} + row.position, W{} + row.round, W{}};
  W key0 = W{} + (row.seed & 0xffffffffu), key1 = W{} + (row.seed >> 32);
#pragma GCC unroll 10
  for (int round = 0; round < 10; ++round) {
    const W product0 = multiplyLowHalves(counters[0], W{} + 0xD2511F53u);
    const W product1 = multiplyLowHalves(counters[2], W{} + 0xCD9E8D57u);
    counters[0] = (product1 >> 32) ^ counters[1] ^ key0;
    counters[1] = product1;
    counters[2] = (product0 >> 32) ^ counters[3] ^ key1;
    counters[3] = product0;
    key0 += 0x9E3779B9u;
    key1 += 0xBB67AE85u;
  }
  const W evenPairs = (counters[0] & 0xffffffffu) | (counters[1] << 32);
  const W oddPairs = (counters[2] & 0xffffffffu) | (counters[3] << 32);
  words[0] = (U)interleavePairsLow(evenPairs, oddPairs);
  words[1] = (U)interleavePairsHigh(evenPairs, oddPairs);
}

/** ln x within 3 ulp for positive, normal x: the polynomial of degree 8 of Cephes' logf (Moshier). */
static inline F logarithm(F x) {
  const U bits = (U)x;
  F mantissa = (F)((bits & 0x7fffffu) | 0x3f000000u);  // in [0.5, 1)
  const I small = mantissa < splat(0.70710678f);
  const F exponent = __builtin_convertvector((I)(bits >> 23) - 126 + small, F);
  mantissa = select(small, mantissa + mantissa, mantissa) - 1.0f;
  constexpr float polynomial[] = {7.0376836292e-2f,  -1.1514610310e-1f, 1.1676998740e-1f,
                                  -1.2420140846e-1f, 1.4249322787e-1f,  -1.6668057665e-1f,
                                  2.0000714765e-1f,  -2.4999993993e-1f, 3.3333331174e-1f};
  F p = splat(polynomial[0]);
#pragma GCC unroll 8
  for (int term = 1; term < 9; ++term) p = multiplyAdd(p, mantissa, splat(polynomial[term]));
  const F square = mantissa * mantissa;
  p = p * (mantissa * square);
  p = multiplyAdd(exponent, splat(-2.12194440e-4f), p);
  p = multiplyAdd(square, splat(-0.5f), p);
  return multiplyAdd(exponent, splat(0.693359375f), mantissa + p);
}

/** −ln(−ln u) of `uniform` of core/random.h. */
static inline F gumbelNoise(U words) {
  const F uniform = (__builtin_convertvector((I)(words >> 9), F) + 0.5f) * 0x1p-23f;
  return -logarithm(-logarithm(uniform));
}

/** See Kernels. */
static int64_t likelyDraws(const DrawRow& row, int64_t first, int64_t count, float* best, int32_t* tokens) {
  // Values may be wrong by some 10⁻⁵: a logit less than 20 below the largest by 10⁻⁶, noise of up to 17 by a
  // few ulp. The others cannot win: noise lies between −2.82 and 16.64.
  constexpr float margin = 1e-3f, largestNoise = 16.64f;
  constexpr int64_t step = 2 * lanes;
  int64_t found = 0;
  for (int64_t i = 0; i < count; i += step) {
    const float* logits = row.logits + i;
    float last[step];
    if (count - i < step) {
      for (int64_t j = 0; j < step; ++j) last[j] = j < count - i ? logits[j] : -__builtin_inff();
      logits = last;
    }
    const F low = load(logits) - row.maximum, high = load(logits + lanes) - row.maximum;
    if (!any(maximum(low, high) > splat(*best - margin - largestNoise))) continue;
    U words[2];
    randomWords(row, static_cast<uint32_t>((first + i) >> 2), words);
    const F lowValue = low + gumbelNoise(words[0]), highValue = high + gumbelNoise(words[1]);
    const F larger = maximum(lowValue, highValue);
    if (!any(larger > splat(*best - margin))) continue;
    const float top = largest(larger);
    if (top > *best) *best = top;
    const F bar = splat(*best - margin);
    for (uint32_t bits = laneBits(lowValue > bar) | laneBits(highValue > bar) << lanes; bits != 0;
         bits &= bits - 1)
      tokens[found++] = static_cast<int32_t>(first + i) + __builtin_ctz(bits);
  }
  return found;
}
