// Products of rows with the rows of a weight, in register tiles. Included by kernels.inl only.

constexpr int tileRows = RND1_TILE_ROWS;
constexpr int tileColumns = RND1_TILE_COLUMNS;
// Sums are written by whole vectors.
constexpr int tileSums = (tileRows * tileColumns + lanes - 1) / lanes * lanes + lanes;

// A row is multiplied in pieces of so many bytes: a tile's weights and rows then fit the first-level cache.
constexpr int64_t pieceBytes = 4096;
// Tiles of rows whose sums wait in memory between pieces.
constexpr int64_t waitingTiles = 16;

/** One tile and one piece of its rows. */
struct TilePiece {
  const char* x[tileRows];
  const char* weights[tileColumns];
  int64_t inner;     // elements of the piece
  int64_t ahead;     // bytes from a weight to what is fetched meanwhile
  F* waiting;        // (rows · tileColumns) sums between pieces
  bool first, last;  // of the pieces of a row
};

/**
 * result[r][c], or [c][r], = x[r] · weights[c] for all tileColumns columns, after the last piece. Each sum
 * runs along the row in lanes, then pairwise across them. `fetches` lines of memory are asked for on the way
 * with each step, half of them behind weights[0], half behind the middle one.
 */
template <typename Operand, int rows, bool columnsFirst, int fetches>
static void multiplyTile(const TilePiece& piece, float* result) {
  constexpr int count = rows * tileColumns;
  constexpr int64_t weightStep = Operand::step * Operand::weightBytes;
  const auto at = [](int r, int c) { return columnsFirst ? c * rows + r : r * tileColumns + c; };
  F sums[count] = {};
  if (!piece.first) {
#pragma GCC unroll 32
    for (int i = 0; i < count; ++i) sums[i] = piece.waiting[i];
  }
  const char* x[rows];
  const char* weights[tileColumns];
#pragma GCC unroll 8
  for (int r = 0; r < rows; ++r) x[r] = piece.x[r];
#pragma GCC unroll 8
  for (int c = 0; c < tileColumns; ++c) weights[c] = piece.weights[c];
  const char* fetched = weights[0] + piece.ahead;
  const int64_t toOther = weights[tileColumns / 2] - weights[0];
  const int64_t inner = piece.inner;
  int64_t k = 0;
  for (; k + Operand::step <= inner; k += Operand::step) {
    typename Operand::Vector vectors[rows];
#pragma GCC unroll 8
    for (int r = 0; r < rows; ++r) vectors[r] = Operand::loadX(x[r] + k * Operand::xBytes);
#pragma GCC unroll 8
    for (int c = 0; c < tileColumns; ++c) {
      const auto weight = Operand::loadWeight(weights[c] + k * Operand::weightBytes);
#pragma GCC unroll 8
      for (int r = 0; r < rows; ++r) sums[at(r, c)] = Operand::accumulate(sums[at(r, c)], vectors[r], weight);
    }
#pragma GCC unroll 4
    for (int i = 0; i < fetches / 2; ++i, fetched += weightStep) {
      __builtin_prefetch(fetched, 0, 3);
      __builtin_prefetch(fetched + toOther, 0, 3);
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
  if (piece.last) {
    sumEach<count>(sums, result);
  } else {
#pragma GCC unroll 32
    for (int i = 0; i < count; ++i) piece.waiting[i] = sums[i];
  }
}

typedef void (*Tile)(const TilePiece& piece, float* result);

/** Tiles for one kind of operands. */
struct Tiles {
  Tile plain[4];     // of 1 to tileRows rows
  Tile fetchAll[4];  // likewise; fetch all of the next tile's weights
  Tile fetchThird;   // of tileRows rows: a third of them
  int64_t xBytes, weightBytes;
};

template <typename Operand, bool columnsFirst>
constexpr Tiles tilesOf = {
    {multiplyTile<Operand, 1, columnsFirst, 0>, multiplyTile<Operand, 2, columnsFirst, 0>,
     multiplyTile<Operand, 3, columnsFirst, 0>,
     multiplyTile<Operand, (tileRows < 4 ? tileRows : 4), columnsFirst, 0>},
    {multiplyTile<Operand, 1, columnsFirst, tileColumns>, multiplyTile<Operand, 2, columnsFirst, tileColumns>,
     multiplyTile<Operand, 3, columnsFirst, tileColumns>,
     multiplyTile<Operand, (tileRows < 4 ? tileRows : 4), columnsFirst, tileColumns>},
    multiplyTile<Operand, tileRows, columnsFirst, 2>,
    Operand::xBytes,
    Operand::weightBytes,
};

template <bool columnsFirst>
static inline const Tiles& chooseTiles(uint8_t rowFormat, uint8_t weightFormat) {
#ifdef RND1_MULTIPLIES_BF16
  if (rowFormat == formatBf16) return tilesOf<Bf16, columnsFirst>;
#endif
  (void)rowFormat;
  return weightFormat == formatBf16 ? tilesOf<WidenedBf16, columnsFirst> : tilesOf<F32, columnsFirst>;
}

/**
 * emit(first row, rows, result) for every tile that `weights` lead to. A weight is read from memory for the
 * first rows and from the cache for the rest; meanwhile what lies `ahead`, the next tile's, is fetched: by
 * the first tiles of rows, so evenly that neither memory nor multipliers wait.
 */
template <typename Row, typename Emit>
static inline void multiplyRows(const Tiles& tiles, Row row, int64_t rows, const char* const* weights,
                                int64_t inner, int64_t ahead, Emit emit) {
  alignas(64) float result[tileSums];
  F waiting[waitingTiles][tileRows * tileColumns];
  const int64_t pieceElements = pieceBytes / tiles.xBytes;
  const int64_t pieces = inner > pieceElements ? (inner + pieceElements - 1) / pieceElements : 1;
  const int64_t covered = pieces == 1 ? inner : pieceElements;
  const int64_t rowTiles = (rows + tileRows - 1) / tileRows;
  const int64_t every = rowTiles / (tileColumns / 2);  // 0: there are fewer tiles than thirds
  int64_t fetches = 0;
  TilePiece piece;
  for (int64_t group = 0; group < rowTiles; group += waitingTiles) {
    const int64_t end = group + waitingTiles < rowTiles ? group + waitingTiles : rowTiles;
    for (int64_t p = 0; p < pieces; ++p) {
      const int64_t start = p * pieceElements;
      piece.inner = inner - start < pieceElements ? inner - start : pieceElements;
      piece.first = p == 0;
      piece.last = p + 1 == pieces;
      for (int c = 0; c < tileColumns; ++c) piece.weights[c] = weights[c] + start * tiles.weightBytes;
      for (int64_t tile = group; tile < end; ++tile) {
        const int64_t r = tile * tileRows;
        const int count = rows - r < tileRows ? static_cast<int>(rows - r) : tileRows;
        for (int i = 0; i < count; ++i) piece.x[i] = row(r + i) + start * tiles.xBytes;
        piece.waiting = waiting[tile - group];
        Tile multiply = tiles.plain[count - 1];
        if (every > 0 && tile % every == 0 && count == tileRows && fetches < pieces * (tileColumns / 2)) {
          // Pieces are fetched one behind the other, from the first of the next tile's weights to the last.
          piece.ahead = ahead + (fetches++ * covered - start) * tiles.weightBytes;
          multiply = tiles.fetchThird;
        } else if (every == 0 && tile == 0) {
          piece.ahead = ahead + start * (tileColumns / 2 - 1) * tiles.weightBytes;
          multiply = tiles.fetchAll[count - 1];
        }
        multiply(piece, result);
        if (piece.last) emit(r, count, result);
      }
    }
  }
}

static inline const char* weightRow(const WeightRows& weights, int64_t row) {
  return static_cast<const char*>(weights.data) + row * weights.strideBytes;
}

/** emit(r, c, width, values) for runs of up to tileColumns columns. */
template <typename Row, typename Emit>
static inline void multiplyAll(uint8_t rowFormat, Row row, int64_t rows, const WeightRows& weights,
                               int64_t columns, int64_t inner, Emit emit) {
  const Tiles& tiles = chooseTiles<false>(rowFormat, weights.format);
  for (int64_t c = 0; c < columns; c += tileColumns) {
    const int64_t width = columns - c < tileColumns ? columns - c : tileColumns;
    const char* pointers[tileColumns];
    for (int64_t i = 0; i < tileColumns; ++i)
      pointers[i] = weightRow(weights, c + (i < width ? i : width - 1));
    multiplyRows(tiles, row, rows, pointers, inner, tileColumns * weights.strideBytes,
                 [&](int64_t r, int count, const float* result) {
                   for (int i = 0; i < count; ++i) emit(r + i, c, width, result + i * tileColumns);
                 });
  }
}

static inline const char* rowOf(const RowSource& x, int64_t row) {
  return static_cast<const char*>(x.data) + (x.index ? x.index[row] / x.divisor : row) * x.strideBytes;
}

static void multiply(const RowSource& x, int64_t rows, const WeightRows& weights, int64_t columns,
                     int64_t inner, float* out, int64_t outStride) {
  multiplyAll(
      x.format, [&](int64_t r) { return rowOf(x, r); }, rows, weights, columns, inner,
      [&](int64_t r, int64_t c, int64_t width, const float* values) {
        float* target = out + r * outStride + c;
        if (width == tileColumns) {
          __builtin_memcpy(target, values, tileColumns * 4);
        } else {
          for (int64_t i = 0; i < width; ++i) target[i] = values[i];
        }
      });
}

static void multiplyAccumulate(const RowSource& x, const int32_t* slots, int64_t divisor, const float* scale,
                               int64_t rows, const WeightRows& weights, int64_t columns, int64_t inner,
                               float* out, int64_t outStride) {
  multiplyAll(
      x.format, [&](int64_t r) { return static_cast<const char*>(x.data) + slots[r] * x.strideBytes; }, rows,
      weights, columns, inner,
      [&](int64_t r, int64_t c, int64_t width, const float* values) {
        const float factor = scale[slots[r]];
        float* target = out + slots[r] / divisor * outStride + c;
        for (int64_t i = 0; i < width; ++i) {
          const float product = factor * values[i];
          target[i] += product;
        }
      });
}

static void gateUp(const RowSource& x, int64_t rows, const WeightRows& gate, const WeightRows& up,
                   int64_t columns, int64_t inner, uint8_t arithmetic, float* out, int64_t outStride) {
  constexpr int64_t half = tileColumns / 2;
  const Tiles& tiles = chooseTiles<true>(x.format, gate.format);
  for (int64_t c = 0; c < columns; c += half) {
    const int64_t width = columns - c < half ? columns - c : half;
    const char* pointers[tileColumns];
    for (int64_t i = 0; i < half; ++i) {
      const int64_t column = c + (i < width ? i : width - 1);
      pointers[i] = weightRow(gate, column);
      pointers[half + i] = weightRow(up, column);
    }
    multiplyRows(
        tiles, [&](int64_t r) { return rowOf(x, r); }, rows, pointers, inner, half * gate.strideBytes,
        [&](int64_t r, int count, const float* result) {
          // The gates of all rows come first: half · count of them, then as many for the other side.
          alignas(64) float activated[(tileRows * half + lanes - 1) / lanes * lanes];
          for (int64_t i = 0; i < half * count; i += lanes) {
            const F g = load(result + i);
            const F u = load(result + half * count + i);
            store(activated + i, roundTo(arithmetic, g / (exponential(-g) + 1.0f) * u));
          }
          for (int i = 0; i < count; ++i) {
            float* target = out + (x.index ? x.index[r + i] : r + i) * outStride + c;
            for (int64_t column = 0; column < width; ++column) target[column] = activated[column * count + i];
          }
        });
  }
}
