// One tile of rows times a tile of weights, in registers. Included by kernels.inl only.

// Of most operands: see `Tiles`.
constexpr int tileRows = RND1_TILE_ROWS;
constexpr int largestTileRows = 8;
constexpr int tileColumns = RND1_TILE_COLUMNS;
// Sums are stored as whole vectors.
constexpr int tileSums = (largestTileRows * tileColumns + lanes - 1) / lanes * lanes + lanes;

constexpr int64_t lineBytes = 64;

// Rows are multiplied in pieces of this many bytes, so that a tile's weights and rows fit the L1 cache.
constexpr int64_t pieceBytes = 4096;

/** One tile and one piece of its rows. */
struct TilePiece {
  const char* x[largestTileRows];
  const char* weights[tileColumns];
  int64_t inner;  // elements of the piece
  // Cache lines to prefetch, one in each of some rows; the next ones follow after `elementsEach` elements.
  const char* ahead = nullptr;
  int64_t prefetchRows = 0, prefetchStride = 0;
  int64_t elementsEach = 0;
};

/**
 * result[r][c] = x[r] · weights[c] for all tileColumns columns. Each sum runs along the piece in lanes, then
 * pairwise across them. Stores whole vectors.
 */
template <typename Operand, int rows, bool fetches>
static void multiplyTile(const TilePiece& piece, float* result) {
  constexpr int count = rows * tileColumns;
  const auto at = [](int r, int c) { return r * tileColumns + c; };
  F sums[count] = {};
  const char* x[rows];
  const char* weights[tileColumns];
#pragma GCC unroll 8
  for (int r = 0; r < rows; ++r) x[r] = piece.x[r];
#pragma GCC unroll 8
  for (int c = 0; c < tileColumns; ++c) weights[c] = piece.weights[c];
  const int64_t inner = piece.inner;
  const int64_t whole = inner & -Operand::step;
  [[maybe_unused]] const char* ahead = piece.ahead;
  int64_t k = 0;
  while (k < whole) {
    int64_t end = whole;
    if constexpr (fetches) {
      // Not into L1, which the tile fills.
      for (int64_t i = 0; i < piece.prefetchRows; ++i)
        __builtin_prefetch(ahead + i * piece.prefetchStride, 0, 2);
      ahead += lineBytes;
      if (k + piece.elementsEach < end) end = k + piece.elementsEach;
    }
    for (; k < end; k += Operand::step) {
      typename Operand::Vector vectors[rows];
#pragma GCC unroll 8
      for (int r = 0; r < rows; ++r) vectors[r] = Operand::loadX(x[r] + k * Operand::xBytes);
#pragma GCC unroll 8
      for (int c = 0; c < tileColumns; ++c) {
        const auto weight = Operand::loadWeight(weights[c] + k * Operand::weightBytes);
#pragma GCC unroll 8
        for (int r = 0; r < rows; ++r)
          sums[at(r, c)] = Operand::accumulate(sums[at(r, c)], vectors[r], weight);
      }
    }
  }
  if (k < inner) {
    typename Operand::Vector vectors[rows];
#pragma GCC unroll 8
    for (int r = 0; r < rows; ++r) vectors[r] = Operand::loadLastX(x[r] + k * Operand::xBytes, inner - k);
#pragma GCC unroll 8
    for (int c = 0; c < tileColumns; ++c) {
      const auto weight = Operand::loadLastWeight(weights[c] + k * Operand::weightBytes, inner - k);
#pragma GCC unroll 8
      for (int r = 0; r < rows; ++r) sums[at(r, c)] = Operand::accumulate(sums[at(r, c)], vectors[r], weight);
    }
  }
  foldEach<Adding, count>(sums, result);
}

typedef void (*Tile)(const TilePiece& piece, float* result);

/** Tiles of 1 to tileRows rows. */
template <typename Operand, bool fetches>
constexpr Tile tilesOfRows[] = {multiplyTile<Operand, 1, fetches>, multiplyTile<Operand, 2, fetches>,
                                multiplyTile<Operand, 3, fetches>,
                                multiplyTile<Operand, (tileRows < 4 ? tileRows : 4), fetches>};

/** Tiles for one kind of operands. */
struct Tiles {
  const Tile* plain;     // of 1 to `rows` rows
  const Tile* fetching;  // these also prefetch
  int64_t rows;
  int64_t xBytes, weightBytes;
  const Tiles* ofWidened;  // the same sums of weights that are widened before; null if that gains nothing
};

template <typename Operand>
constexpr Tiles tilesOf = {tilesOfRows<Operand, false>,
                           tilesOfRows<Operand, true>,
                           tileRows,
                           Operand::xBytes,
                           Operand::weightBytes,
                           nullptr};
template <>
constexpr Tiles tilesOf<WidenedBf16> = {tilesOfRows<WidenedBf16, false>,
                                        tilesOfRows<WidenedBf16, true>,
                                        tileRows,
                                        WidenedBf16::xBytes,
                                        WidenedBf16::weightBytes,
                                        &tilesOf<F32>};
#ifdef RND1_MULTIPLIES_PAIRS
#include "backend/cpu/float/pair_matmul.inl"
#endif

/** A piece of a tile's weights, widened; rows are spread over the sets of the cache. */
struct WidenedPiece {
  static constexpr int64_t stride = pieceBytes / 4 + lineBytes / 4;
  alignas(64) float rows[tileColumns * stride];

  const char* take(const char* row, int64_t count, int64_t index) {
    float* const target = rows + index * stride;
    widen(row, formatBf16, formatF32, count, target);
    return reinterpret_cast<const char*>(target);
  }
};

static inline const Tiles& chooseTiles(uint8_t rowFormat, uint8_t weightFormat) {
#if defined(RND1_MULTIPLIES_BF16) && !defined(RND1_USES_TILES)
  if (rowFormat == formatBf16) return tilesOf<Bf16>;
#endif
#ifdef RND1_MULTIPLIES_F16
  if (rowFormat == formatF16) return tilesOf<F16>;
#endif
  (void)rowFormat;
  return weightFormat == formatBf16 ? tilesOf<WidenedBf16> : tilesOf<F32>;
}
