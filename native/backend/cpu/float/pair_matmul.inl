// Tiles of bf16 in which bfmmla multiplies two rows by two columns, four elements at a time. Included by
// register_tiles.inl only.

/** Elements [k, k + 8) of two rows, half by half. */
struct Bf16Pair {
  Bf16::Vector halves[2];
};

static inline Bf16Pair pairOf(Bf16::Vector first, Bf16::Vector second) {
  return {{__builtin_shufflevector(first, second, 0, 1, 2, 3, 8, 9, 10, 11),
           __builtin_shufflevector(first, second, 4, 5, 6, 7, 12, 13, 14, 15)}};
}

/** Adds x0 · w0, x0 · w1, x1 · w0, x1 · w1 of half a pair each: four products to a lane. */
struct Bf16PairProducts : Bf16 {
  static constexpr int64_t step = 16;
  static inline F accumulate(F sums, Vector x, Vector weight) {
    return (F)vbfmmlaq_f32((float32x4_t)sums, vreinterpretq_bf16_u16(x), vreinterpretq_bf16_u16(weight));
  }
};

/** Of each pair of rows with each pair of columns, as of Bf16PairProducts. */
template <int rowPairs, int columnPairs>
struct Bf16PairSums {
  F sums[rowPairs][columnPairs] = {};

  /** `loadX` and `loadWeight` return eight elements of a row. */
  template <typename LoadX, typename LoadWeight>
  inline void add(LoadX loadX, LoadWeight loadWeight) {
    Bf16Pair x[rowPairs];
#pragma GCC unroll 4
    for (int p = 0; p < rowPairs; ++p) x[p] = pairOf(loadX(2 * p), loadX(2 * p + 1));
#pragma GCC unroll 4
    for (int c = 0; c < columnPairs; ++c) {
      const Bf16Pair weights = pairOf(loadWeight(2 * c), loadWeight(2 * c + 1));
#pragma GCC unroll 2
      for (int half = 0; half < 2; ++half)
#pragma GCC unroll 4
        for (int p = 0; p < rowPairs; ++p)
          sums[p][c] = Bf16PairProducts::accumulate(sums[p][c], x[p].halves[half], weights.halves[half]);
    }
  }
};

/** As multiplyTile; each sum runs along the piece, four products at a time. */
template <int rows, bool fetches>
static void multiplyPairTile(const TilePiece& piece, float* result) {
  static_assert(tileColumns % 2 == 0);
  constexpr int rowPairs = (rows + 1) / 2, columnPairs = tileColumns / 2;
  Bf16PairSums<rowPairs, columnPairs> sums;
  // The last row of an odd number counts twice.
  const char* x[2 * rowPairs];
  const char* weights[tileColumns];
#pragma GCC unroll 8
  for (int r = 0; r < 2 * rowPairs; ++r) x[r] = piece.x[r < rows ? r : rows - 1];
#pragma GCC unroll 8
  for (int c = 0; c < tileColumns; ++c) weights[c] = piece.weights[c];
  const int64_t inner = piece.inner;
  const int64_t whole = inner & -Bf16::step;
  [[maybe_unused]] const char* ahead = piece.ahead;
  int64_t k = 0;
  while (k < whole) {
    int64_t end = whole;
    if constexpr (fetches) {
      for (int64_t i = 0; i < piece.prefetchRows; ++i)
        __builtin_prefetch(ahead + i * piece.prefetchStride, 0, 2);
      ahead += lineBytes;
      if (k + piece.elementsEach < end) end = k + piece.elementsEach;
    }
    for (; k < end; k += Bf16::step)
      sums.add([&](int r) { return Bf16::loadX(x[r] + k * 2); },
               [&](int c) { return Bf16::loadWeight(weights[c] + k * 2); });
  }
  if (k < inner)
    sums.add([&](int r) { return Bf16::loadLastX(x[r] + k * 2, inner - k); },
             [&](int c) { return Bf16::loadLastWeight(weights[c] + k * 2, inner - k); });
#pragma GCC unroll 8
  for (int r = 0; r < rows; ++r)
#pragma GCC unroll 4
    for (int c = 0; c < columnPairs; ++c)
      __builtin_memcpy(result + r * tileColumns + 2 * c,
                       reinterpret_cast<const float*>(&sums.sums[r / 2][c]) + r % 2 * 2, 8);
}

template <bool fetches>
constexpr Tile pairTiles[] = {multiplyPairTile<1, fetches>, multiplyPairTile<2, fetches>,
                              multiplyPairTile<3, fetches>, multiplyPairTile<4, fetches>,
                              multiplyPairTile<5, fetches>, multiplyPairTile<6, fetches>,
                              multiplyPairTile<7, fetches>, multiplyPairTile<8, fetches>};
static_assert(largestTileRows == 8);

template <>
constexpr Tiles tilesOf<Bf16> = {pairTiles<false>, pairTiles<true>,   8,
                                 Bf16::xBytes,     Bf16::weightBytes, nullptr};
