// Products of rows with the rows of a weight, in register tiles. Included by kernels.inl only.

// Of most operands: see `Tiles`.
constexpr int tileRows = RND1_TILE_ROWS;
constexpr int largestTileRows = 8;
constexpr int tileColumns = RND1_TILE_COLUMNS;
// Sums are stored as whole vectors.
constexpr int tileSums = (largestTileRows * tileColumns + lanes - 1) / lanes * lanes + lanes;

constexpr int64_t lineBytes = 64;

// Rows are multiplied in pieces of this many bytes, so that a tile's weights and rows fit the L1 cache.
constexpr int64_t pieceBytes = 4096;
// Rows whose partial sums are kept between pieces.
constexpr int64_t waitingRows = 96;

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

/** The rows of a weight that one tile takes. */
struct TileWeights {
  const char* rows[tileColumns];
  int64_t width;  // valid columns; the last one is repeated for the rest
  int64_t ahead;  // bytes to the rows of the next tile
};

/**
 * How row tiles share the prefetching of the next weights. Spread over the products, prefetches cost little;
 * issued at once, they would block all other misses. Unless weights are widened before, the first tile
 * prefetches nothing: it waits for its own weights.
 */
struct Sharing {
  int64_t rows = 0;          // weight rows that a tile prefetches
  int64_t tiles = 1;         // successive tiles that share these rows
  int64_t lines = 0;         // lines of each row per tile
  int64_t elementsEach = 0;  // see TilePiece
};

static inline Sharing shareOf(int64_t sharing, int64_t inner, int64_t weightBytes) {
  const int64_t elements = lineBytes / weightBytes;
  if (sharing < 1) return {};
  const int64_t all = (inner + elements - 1) / elements;
  if (sharing < tileColumns) return {(tileColumns + sharing - 1) / sharing, 1, all, elements};
  const int64_t tiles = sharing / tileColumns, lines = (all + tiles - 1) / tiles;
  return {1, tiles, lines, (all + lines - 1) / lines * elements};
}

static inline const char* rowOf(const RowSource& x, int64_t row) {
  return static_cast<const char*>(x.data) + row * x.strideBytes;
}

/** The tile takes every `apart`th of the `columns` left from `column` on; `ahead` leads to the next tile. */
static inline TileWeights tileOf(const WeightRows& weights, int64_t column, int64_t columns,
                                 int64_t apart = 1) {
  TileWeights tile;
  tile.width = columns < tileColumns ? columns : tileColumns;
  tile.ahead = (apart == 1 ? tileColumns : 1) * weights.strideBytes;
  for (int64_t i = 0; i < tileColumns; ++i)
    tile.rows[i] = static_cast<const char*>(weights.data) +
                   (column + (i < tile.width ? i : tile.width - 1) * apart) * weights.strideBytes;
  return tile;
}

/**
 * emit(first row, rows, result) for the rows [first, end) of x, at most waitingRows. A weight is read from
 * memory for the first tile of rows and from the cache for the rest. Before that, the first line of each row
 * needed next is prefetched, which starts the hardware prefetcher.
 */
template <typename Emit>
static inline void multiplyRows(const Tiles& tiles, const RowSource& x, int64_t first, int64_t end,
                                const TileWeights& weights, int64_t inner, Emit emit) {
  alignas(64) float result[tileSums];
  alignas(64) float waiting[waitingRows * tileColumns + tileSums];
  // Pieces of nearly equal size, in whole cache lines.
  const int64_t max = pieceBytes / tiles.xBytes;
  const int64_t pieces = inner > max ? (inner + max - 1) / max : 1;
  const int64_t pieceElements = ((inner + pieces - 1) / pieces + 31) / 32 * 32;
  const int64_t rows = end - first, rowTiles = (rows + tiles.rows - 1) / tiles.rows;
  const bool widens = tiles.ofWidened && rowTiles > 1;
  const Tiles& multiplied = widens ? *tiles.ofWidened : tiles;
  const int64_t waitingTiles = widens ? 0 : 1;
  WidenedPiece widened;
  TilePiece piece;
  for (int64_t p = 0; p < pieces; ++p) {
    const int64_t start = p * pieceElements;
    const bool last = p + 1 == pieces;
    piece.inner = inner - start < pieceElements ? inner - start : pieceElements;
    const Sharing sharing = shareOf(rowTiles - waitingTiles, piece.inner, tiles.weightBytes);
    piece.elementsEach = sharing.elementsEach;
    piece.prefetchStride = weights.rows[1] - weights.rows[0];
    const int64_t next = last ? weights.ahead : (start + pieceElements) * tiles.weightBytes;
    for (int c = 0; c < tileColumns; ++c) {
      const char* row = weights.rows[c] + start * tiles.weightBytes;
      __builtin_prefetch(weights.rows[c] + next, 0, 2);
      piece.weights[c] = widens ? widened.take(row, piece.inner, c) : row;
    }
    for (int64_t tile = 0; tile < rowTiles; ++tile) {
      // Tiles of nearly equal size: one of a single row would leave most of the multipliers idle.
      const int64_t r = tile * rows / rowTiles;
      const int count = static_cast<int>((tile + 1) * rows / rowTiles - r);
      for (int i = 0; i < count; ++i) piece.x[i] = rowOf(x, first + r + i) + start * tiles.xBytes;
      const int64_t turn = tile - waitingTiles, row = turn / sharing.tiles * sharing.rows;
      const bool fetches = turn >= 0 && row < tileColumns;
      if (fetches) {
        piece.ahead = weights.rows[row] + next + turn % sharing.tiles * sharing.lines * lineBytes;
        piece.prefetchRows = sharing.rows < tileColumns - row ? sharing.rows : tileColumns - row;
      }
      const Tile multiplyTile = (fetches ? multiplied.fetching : multiplied.plain)[count - 1];
      float* sums = waiting + r * tileColumns;
      if (p == 0 && !last) {
        multiplyTile(piece, sums);
        continue;
      }
      multiplyTile(piece, result);
      if (p > 0) {
        float* target = last ? result : sums;
        for (int i = 0; i < count * tileColumns; ++i) target[i] = sums[i] + result[i];
      }
      if (last) emit(first + r, count, result);
    }
  }
}

/** emit(r, values) for all rows of x, waitingRows at a time. */
template <typename Emit>
static inline void multiplyColumns(const Tiles& tiles, const RowSource& x, int64_t rows,
                                   const TileWeights& weights, int64_t inner, Emit emit) {
  for (int64_t first = 0; first < rows; first += waitingRows)
    multiplyRows(tiles, x, first, first + waitingRows < rows ? first + waitingRows : rows, weights, inner,
                 [&](int64_t r, int count, const float* result) {
                   for (int i = 0; i < count; ++i) emit(r + i, result + i * tileColumns);
                 });
}

static inline void storeColumns(float* target, const float* values, int64_t width) {
  if (width == tileColumns) {
    __builtin_memcpy(target, values, tileColumns * 4);
  } else {
    for (int64_t i = 0; i < width; ++i) target[i] = values[i];
  }
}

/** silu(gate) · up, rounded. */
static inline F swiglu(uint8_t computeDtype, F gate, F up) {
  return roundTo(computeDtype, gate / (exponential(-gate) + 1.0f) * up);
}

#ifdef RND1_USES_TILES
#include "backend/cpu/float/tile_matmul.inl"
#endif

static void multiply(const RowSource& x, int64_t rows, const WeightRows& weights, int64_t columns,
                     int64_t inner, float* out, int64_t outStride) {
#ifdef RND1_USES_TILES
  if (x.format == formatBf16) return multiplyInTiles(x, rows, weights, columns, inner, out, outStride);
#endif
  const Tiles& tiles = chooseTiles(x.format, weights.format);
  for (int64_t c = 0; c < columns; c += tileColumns) {
    const TileWeights tile = tileOf(weights, c, columns - c);
    multiplyColumns(tiles, x, rows, tile, inner, [&](int64_t r, const float* values) {
      storeColumns(out + r * outStride + c, values, tile.width);
    });
  }
}

static void multiplyAccumulate(const RowSource& x, const int32_t* targets, const float* factors, int64_t rows,
                               const WeightRows& weights, int64_t columns, int64_t inner, float* out,
                               int64_t outStride) {
#ifdef RND1_USES_TILES
  if (x.format == formatBf16)
    return multiplyAccumulateInTiles(x, targets, factors, rows, weights, columns, inner, out, outStride);
#endif
  const Tiles& tiles = chooseTiles(x.format, weights.format);
  const auto add = [&](int64_t r, int64_t c, int64_t apart, int64_t width, const float* values) {
    float* target = out + targets[r] * outStride + c;
    for (int64_t i = 0; i < width; ++i) {
      const float product = factors[r] * values[i];
      target[i * apart] += product;
    }
  };
  // A single row tile is memory-bound, and reads are fastest along streams that continue from tile to tile:
  // so a tile's columns are far apart.
  const int64_t apart = rows <= tiles.rows ? columns / tileColumns : 0;
  for (int64_t c = 0; c < apart; ++c)
    multiplyColumns(tiles, x, rows, tileOf(weights, c, tileColumns, apart), inner,
                    [&](int64_t r, const float* values) { add(r, c, apart, tileColumns, values); });
  for (int64_t c = apart * tileColumns; c < columns; c += tileColumns) {
    const TileWeights tile = tileOf(weights, c, columns - c);
    multiplyColumns(tiles, x, rows, tile, inner, [&](int64_t r, const float* values) {
      // A constant width lets the compiler unroll.
      tile.width == tileColumns ? add(r, c, 1, tileColumns, values) : add(r, c, 1, tile.width, values);
    });
  }
}

static void gateUp(const RowSource& x, int64_t rows, const WeightRows& gate, const WeightRows& up,
                   int64_t columns, int64_t inner, uint8_t computeDtype, float* out, int64_t outStride) {
#ifdef RND1_USES_TILES
  if (x.format == formatBf16)
    return gateUpInTiles(x, rows, gate, up, columns, inner, computeDtype, out, outStride);
#endif
  const Tiles& tiles = chooseTiles(x.format, gate.format);
  // Gate results of some rows, kept until their up results are ready. Read as whole vectors.
  alignas(64) float gates[waitingRows * tileColumns + lanes];
  for (int64_t c = 0; c < columns; c += tileColumns) {
    const TileWeights gateTile = tileOf(gate, c, columns - c), upTile = tileOf(up, c, columns - c);
    for (int64_t first = 0; first < rows; first += waitingRows) {
      const int64_t end = first + waitingRows < rows ? first + waitingRows : rows;
      multiplyRows(tiles, x, first, end, gateTile, inner, [&](int64_t r, int count, const float* result) {
        __builtin_memcpy(gates + (r - first) * tileColumns, result,
                         static_cast<size_t>(count) * tileColumns * 4);
      });
      multiplyRows(tiles, x, first, end, upTile, inner, [&](int64_t r, int count, const float* result) {
        alignas(64) float activated[tileSums];
        for (int i = 0; i < count * tileColumns; i += static_cast<int>(lanes)) {
          const F g = load(gates + (r - first) * tileColumns + i), u = load(result + i);
          store(activated + i, roundTo(computeDtype, g / (exponential(-g) + 1.0f) * u));
        }
        for (int i = 0; i < count; ++i)
          storeColumns(out + (r + i) * outStride + c, activated + i * tileColumns, upTile.width);
      });
    }
  }
}
