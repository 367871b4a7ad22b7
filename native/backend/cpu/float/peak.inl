// Peak multiply-add throughput, for benchmarks. Included by kernels.inl only.

// Units with a latency of 4 to 6 cycles need ten or twelve sums; SSE2 and AVX2 have 16 registers in all.
constexpr int64_t independentSums = 12;

#if defined(RND1_MULTIPLIES_PAIRS)
typedef Bf16PairProducts Bf16Products;
#elif defined(RND1_MULTIPLIES_BF16)
typedef Bf16 Bf16Products;
#endif

template <typename Operand>
static float accumulateLoop(int64_t rounds, const char* x, const char* weight) {
  F sums[independentSums];
#pragma GCC unroll 12
  for (int64_t i = 0; i < independentSums; ++i) sums[i] = splat(static_cast<float>(i));
  const auto factors = Operand::loadX(x), others = Operand::loadX(weight);
  for (int64_t round = 0; round < rounds; ++round) {
#pragma GCC unroll 12
    for (int64_t i = 0; i < independentSums; ++i) sums[i] = Operand::accumulate(sums[i], factors, others);
  }
  F total = {};
#pragma GCC unroll 12
  for (int64_t i = 0; i < independentSums; ++i) total += sums[i];
  return sum(total);
}

static float multiplyAddLoop(uint8_t computeDtype, int64_t rounds) {
  float values[2 * lanes];
  for (int64_t i = 0; i < 2 * lanes; ++i) values[i] = 0.5f;
  const char* source = reinterpret_cast<const char*>(values);
#if defined(RND1_USES_TILES)
  if (computeDtype == formatBf16) return tileProductLoop(rounds);
#elif defined(RND1_MULTIPLIES_BF16)
  if (computeDtype == formatBf16) return accumulateLoop<Bf16Products>(rounds, source, source + 4);
#endif
#ifdef RND1_MULTIPLIES_F16
  if (computeDtype == formatF16) return accumulateLoop<F16>(rounds, source, source + 4);
#endif
  (void)computeDtype;
  return accumulateLoop<F32>(rounds, source, source + 4);
}

static int64_t multiplyAddsPerRound(uint8_t computeDtype) {
#if defined(RND1_USES_TILES)
  if (computeDtype == formatBf16) return tileProductsPerRound;
#elif defined(RND1_MULTIPLIES_BF16)
  if (computeDtype == formatBf16) return independentSums * Bf16Products::step;
#endif
#ifdef RND1_MULTIPLIES_F16
  if (computeDtype == formatF16) return independentSums * F16::step;
#endif
  (void)computeDtype;
  return independentSums * lanes;
}
