// Products of rows with the rows of a weight, tile by tile. Included by kernels.inl only.

// Rows whose partial sums are kept between pieces.
constexpr int64_t waitingRows = 96;

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
