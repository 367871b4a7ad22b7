// Products of the bf16 rows of one tile with bf16 weights. Included by tile_matmul.inl only.
//
// Reading the weights takes the time here: so they are left operands as they lie in memory, and the rows are
// interleaved instead. A product of tiles adds in the order of the elements either way, so that sums have the
// same bits.

// Tiles of weight rows side by side.
constexpr int64_t fewTiles = 4;
// Longest rows whose interleaved copy goes to the stack.
constexpr int64_t fewElements = 4096;
// Elements between the prefetch of a line and its use.
constexpr int64_t fewAhead = 8 * tileStep;

static inline bool areFew(int64_t rows, int64_t inner) {
  return rows > 0 && rows <= tileSide && inner <= fewElements;
}

/** Rows of a weight for one tile; the first `skipped` belong to the tile before. */
struct FewTile {
  const char* first;
  int64_t stride, rows, skipped;
};

static inline FewTile fewTileAt(const WeightRows& weights, int64_t column, int64_t columns) {
  int64_t start = columns - tileSide < column ? columns - tileSide : column;
  if (start < 0) start = 0;
  return {static_cast<const char*>(weights.data) + start * weights.strideBytes, weights.strideBytes,
          columns < tileSide ? columns : tileSide, column - start};
}

template <int tile>
static inline void addFew(const FewTile& source, int64_t k, int64_t left) {
  constexpr int operand = 4 + tile % 2;
  if (source.rows == tileSide && left >= tileStep) {
    loadTile<operand>(source.first + k * 2, source.stride);
  } else {
    alignas(64) char padded[tileBytes];
    const char* rows[tileSide];
    for (int64_t r = 0; r < source.rows; ++r) rows[r] = source.first + r * source.stride;
    copyTail(rows, source.rows, k * 2, (left < tileStep ? left : tileStep) * 2, padded);
    loadTile<operand>(padded, tileRowBytes);
  }
  multiplyBf16Tiles<tile, operand, 6>();
}

/** Prefetches elements [k, k + tileStep) of a tile's rows, or from the row's end on those of `next` rows
 * further. */
static inline void prefetchFew(const FewTile& tile, int64_t k, int64_t inner, int64_t next) {
  const char* line = tile.first + (k < inner ? k * 2 : next * tile.stride + (k - inner) * 2);
  for (int64_t r = 0; r < tile.rows; ++r) __builtin_prefetch(line + r * tile.stride, 0, 2);
}

/** sums[i] (tileSide, tileSide): row r holds the products of weight row r of tile i with all rows of x. The
 * following tiles are `next` weight rows further. */
template <int count>
static inline void multiplyFew(const FewTile* tiles, const char* x, int64_t inner, int64_t next,
                               float (*sums)[tileSide * tileSide]) {
  clearTile<0>();
  if constexpr (count > 1) clearTile<1>();
  if constexpr (count > 2) clearTile<2>();
  if constexpr (count > 3) clearTile<3>();
  for (int64_t k = 0; k < inner; k += tileStep, x += tileBytes) {
    loadTile<6>(x, tileRowBytes);
    addFew<0>(tiles[0], k, inner - k);
    if constexpr (count > 1) addFew<1>(tiles[1], k, inner - k);
    if constexpr (count > 2) addFew<2>(tiles[2], k, inner - k);
    if constexpr (count > 3) addFew<3>(tiles[3], k, inner - k);
    for (int i = 0; i < count; ++i) prefetchFew(tiles[i], k + fewAhead, inner, next);
  }
  storeTile<0>(sums[0], tileRowBytes);
  if constexpr (count > 1) storeTile<1>(sums[1], tileRowBytes);
  if constexpr (count > 2) storeTile<2>(sums[2], tileRowBytes);
  if constexpr (count > 3) storeTile<3>(sums[3], tileRowBytes);
}

/** Rows of x, interleaved, and tiles configured for them: 6 for x, 4 and 5 for weights, 0 to 3 for sums. */
struct FewRows {
  alignas(64) char interleaved[fewElements * 2 * tileSide];
  alignas(64) float sums[fewTiles][tileSide * tileSide] = {};
  alignas(64) float rows[fewTiles][tileSide * tileSide];  // one row of x after the other

  FewRows(const RowSource& x, int64_t count, int64_t inner) {
    const char* sources[tileSide];
    for (int64_t r = 0; r < tileSide; ++r) sources[r] = rowOf(x, r < count ? r : count - 1);
    for (int64_t k = 0; k < inner; k += tileStep)
      interleaveStep(sources, k, inner - k, interleaved + k / tileStep * tileBytes);
    configureTiles(shapesOf(tileSide, tileRowBytes, count));
  }

  void multiply(const FewTile* tiles, int64_t count, int64_t inner, int64_t next) {
    constexpr void (*multiplies[])(const FewTile*, const char*, int64_t, int64_t,
                                   float(*)[tileSide * tileSide]) = {multiplyFew<1>, multiplyFew<2>,
                                                                     multiplyFew<3>, multiplyFew<4>};
    multiplies[count - 1](tiles, interleaved, inner, next, sums);
    for (int64_t i = 0; i < count; ++i) {
      const char* columns[tileSide];
      for (int64_t r = 0; r < tileSide; ++r)
        columns[r] = reinterpret_cast<const char*>(sums[i] + (r + tiles[i].skipped) % tileSide * tileSide);
      interleave(columns, 0, reinterpret_cast<char*>(rows[i]));
    }
  }
};

/** emit(row, first column, columns, sums) for all rows and all runs of tileSide columns. */
template <typename Emit>
static inline void forEachFew(const RowSource& x, int64_t rows, const WeightRows& weights, int64_t columns,
                              int64_t inner, Emit emit) {
  FewRows few(x, rows, inner);
  FewTile tiles[fewTiles];
  for (int64_t c = 0; c < columns; c += fewTiles * tileSide) {
    int64_t count = 0;
    for (; count < fewTiles && c + count * tileSide < columns; ++count)
      tiles[count] = fewTileAt(weights, c + count * tileSide, columns);
    few.multiply(tiles, count, inner, fewTiles * tileSide);
    for (int64_t i = 0; i < count; ++i) {
      const int64_t first = c + i * tileSide, left = columns - first;
      for (int64_t r = 0; r < rows; ++r)
        emit(r, first, left < tileSide ? left : tileSide, few.rows[i] + r * tileSide);
    }
  }
  releaseTiles();
}

/** activate(row, first column, columns, sums of gate, sums of up), likewise. */
template <typename Activate>
static inline void gateUpFew(const RowSource& x, int64_t rows, const WeightRows& gate, const WeightRows& up,
                             int64_t columns, int64_t inner, Activate activate) {
  constexpr int64_t half = fewTiles / 2;
  FewRows few(x, rows, inner);
  FewTile tiles[fewTiles];
  for (int64_t c = 0; c < columns; c += half * tileSide) {
    const int64_t count = columns - c > tileSide ? half : 1;
    for (int64_t i = 0; i < count; ++i) {
      tiles[i] = fewTileAt(gate, c + i * tileSide, columns);
      tiles[count + i] = fewTileAt(up, c + i * tileSide, columns);
    }
    few.multiply(tiles, 2 * count, inner, half * tileSide);
    for (int64_t i = 0; i < count; ++i) {
      const int64_t first = c + i * tileSide, left = columns - first;
      for (int64_t r = 0; r < rows; ++r)
        activate(r, first, left < tileSide ? left : tileSide, few.rows[i] + r * tileSide,
                 few.rows[count + i] + r * tileSide);
    }
  }
  releaseTiles();
}
