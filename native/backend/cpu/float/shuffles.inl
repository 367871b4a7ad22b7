// Operations across lanes: horizontal sums, transposition. Included by kernels.inl only.

/** What a fold does to two vectors; sums and maxima of the same lanes share their shuffles. */
struct Adding {
  static inline F of(F a, F b) { return a + b; }
};
struct Largest {
  static inline F of(F a, F b) { return maximum(a, b); }
};

/** foldAcross<Fold, level>(a, b): partial results of either span lanes / 2^(level − 1) lanes; folds their
 * halves, and half of the result is from a, half from b. */
template <typename Fold, int level>
static inline F foldAcross(F a, F b) {
#if RND1_LANES == 4
  if constexpr (level == 1)
    return Fold::of(__builtin_shufflevector(a, b, 0, 1, 4, 5), __builtin_shufflevector(a, b, 2, 3, 6, 7));
  else
    return Fold::of(__builtin_shufflevector(a, b, 0, 2, 4, 6), __builtin_shufflevector(a, b, 1, 3, 5, 7));
#elif RND1_LANES == 8
  if constexpr (level == 1)
    return Fold::of(__builtin_shufflevector(a, b, 0, 1, 2, 3, 8, 9, 10, 11),
                    __builtin_shufflevector(a, b, 4, 5, 6, 7, 12, 13, 14, 15));
  else if constexpr (level == 2)
    return Fold::of(__builtin_shufflevector(a, b, 0, 1, 8, 9, 4, 5, 12, 13),
                    __builtin_shufflevector(a, b, 2, 3, 10, 11, 6, 7, 14, 15));
  else
    return Fold::of(__builtin_shufflevector(a, b, 0, 2, 8, 10, 4, 6, 12, 14),
                    __builtin_shufflevector(a, b, 1, 3, 9, 11, 5, 7, 13, 15));
#else
  if constexpr (level == 1)
    return Fold::of(
        __builtin_shufflevector(a, b, 0, 1, 2, 3, 4, 5, 6, 7, 16, 17, 18, 19, 20, 21, 22, 23),
        __builtin_shufflevector(a, b, 8, 9, 10, 11, 12, 13, 14, 15, 24, 25, 26, 27, 28, 29, 30, 31));
  else if constexpr (level == 2)
    return Fold::of(
        __builtin_shufflevector(a, b, 0, 1, 2, 3, 8, 9, 10, 11, 16, 17, 18, 19, 24, 25, 26, 27),
        __builtin_shufflevector(a, b, 4, 5, 6, 7, 12, 13, 14, 15, 20, 21, 22, 23, 28, 29, 30, 31));
  else if constexpr (level == 3)
    return Fold::of(
        __builtin_shufflevector(a, b, 0, 1, 16, 17, 4, 5, 20, 21, 8, 9, 24, 25, 12, 13, 28, 29),
        __builtin_shufflevector(a, b, 2, 3, 18, 19, 6, 7, 22, 23, 10, 11, 26, 27, 14, 15, 30, 31));
  else
    return Fold::of(__builtin_shufflevector(a, b, 0, 2, 16, 18, 4, 6, 20, 22, 8, 10, 24, 26, 12, 14, 28, 30),
                    __builtin_shufflevector(a, b, 1, 3, 17, 19, 5, 7, 21, 23, 9, 11, 25, 27, 13, 15, 29, 31));
#endif
}

// `levels` folds leave one lane; levelStep: per level, the distance in vectors to the second operand.
#if RND1_LANES == 4
static inline F interleaveLow(F a, F b) { return __builtin_shufflevector(a, b, 0, 4, 1, 5); }
static inline F interleaveHigh(F a, F b) { return __builtin_shufflevector(a, b, 2, 6, 3, 7); }
static inline W interleavePairsLow(W a, W b) { return __builtin_shufflevector(a, b, 0, 2); }
static inline W interleavePairsHigh(W a, W b) { return __builtin_shufflevector(a, b, 1, 3); }
constexpr int levels = 2;
constexpr int levelStep[] = {0, 1, 2};
#elif RND1_LANES == 8
static inline F interleaveLow(F a, F b) { return __builtin_shufflevector(a, b, 0, 8, 1, 9, 2, 10, 3, 11); }
static inline F interleaveHigh(F a, F b) { return __builtin_shufflevector(a, b, 4, 12, 5, 13, 6, 14, 7, 15); }
static inline W interleavePairsLow(W a, W b) { return __builtin_shufflevector(a, b, 0, 4, 1, 5); }
static inline W interleavePairsHigh(W a, W b) { return __builtin_shufflevector(a, b, 2, 6, 3, 7); }
constexpr int levels = 3;
constexpr int levelStep[] = {0, 4, 1, 2};
#else
static inline F interleaveLow(F a, F b) {
  return __builtin_shufflevector(a, b, 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23);
}
static inline F interleaveHigh(F a, F b) {
  return __builtin_shufflevector(a, b, 8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31);
}
static inline W interleavePairsLow(W a, W b) {
  return __builtin_shufflevector(a, b, 0, 8, 1, 9, 2, 10, 3, 11);
}
static inline W interleavePairsHigh(W a, W b) {
  return __builtin_shufflevector(a, b, 4, 12, 5, 13, 6, 14, 7, 15);
}
constexpr int levels = 4;
constexpr int levelStep[] = {0, 4, 8, 1, 2};
#endif

template <typename Fold, int level, int count, int first>
static inline F foldOf(const F* vectors) {
  if constexpr (level == 0) {
    return vectors[first];
  } else {
    constexpr int second = first + levelStep[level];
    const F low = foldOf<Fold, level - 1, count, first>(vectors);
    if constexpr (second < count) {
      return foldAcross<Fold, level>(low, foldOf<Fold, level - 1, count, second>(vectors));
    } else {
      return foldAcross<Fold, level>(low, low);
    }
  }
}

/** results[i] = the fold of the lanes of vectors[i]: pairwise, in a fixed order. Stores whole vectors. */
template <typename Fold, int count>
static inline void foldEach(const F* vectors, float* results) {
  if constexpr (count <= lanes) {
    store(results, foldOf<Fold, levels, count, 0>(vectors));
  } else {
    store(results, foldOf<Fold, levels, lanes, 0>(vectors));
    foldEach<Fold, count - lanes>(vectors + lanes, results + lanes);
  }
}

static inline float sum(F vector) { return foldOf<Adding, levels, 1, 0>(&vector)[0]; }
static inline float largest(F vector) { return foldOf<Largest, levels, 1, 0>(&vector)[0]; }

/** Transposes a square in place. */
static inline void transpose(F (&rows)[lanes]) {
  for (int round = 0; round < levels; ++round) {
    F next[lanes];
#pragma GCC unroll 8
    for (int64_t i = 0; i < lanes / 2; ++i) {
      next[2 * i] = interleaveLow(rows[i], rows[i + lanes / 2]);
      next[2 * i + 1] = interleaveHigh(rows[i], rows[i + lanes / 2]);
    }
#pragma GCC unroll 16
    for (int64_t i = 0; i < lanes; ++i) rows[i] = next[i];
  }
}
