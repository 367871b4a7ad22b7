// Products of rows with the rows of a weight, in register tiles. Included by kernels.inl only.

constexpr int tileRows = RND1_TILE_ROWS;
constexpr int tileColumns = RND1_TILE_COLUMNS;
// Sums are written by whole vectors.
constexpr int tileSums = (tileRows * tileColumns + lanes - 1) / lanes * lanes + lanes;

/**
 * result[r][c], or [c][r], = x[r] · weights[c] for all tileColumns columns. Each sum runs along `inner` in
 * lanes, then pairwise across them. `ahead`: bytes from a weight to the one that the next tile reads.
 */
template <typename Operand, int rows, bool columnsFirst>
static void multiplyTile(const char* const* x, const char* const* weights, int64_t inner, int64_t ahead,
                         float* result) {
  F sums[rows * tileColumns] = {};
  const auto at = [](int r, int c) { return columnsFirst ? c * rows + r : r * tileColumns + c; };
  int64_t k = 0;
  for (; k + Operand::step <= inner; k += Operand::step) {
    typename Operand::Vector vectors[rows];
#pragma GCC unroll 8
    for (int r = 0; r < rows; ++r) vectors[r] = Operand::loadX(x[r] + k * Operand::xBytes);
#pragma GCC unroll 8
    for (int c = 0; c < tileColumns; ++c) {
      const char* source = weights[c] + k * Operand::weightBytes;
      const auto weight = Operand::loadWeight(source);
      __builtin_prefetch(source + ahead, 0, 2);
#pragma GCC unroll 8
      for (int r = 0; r < rows; ++r) sums[at(r, c)] = Operand::accumulate(sums[at(r, c)], vectors[r], weight);
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
  sumEach<rows * tileColumns>(sums, result);
}

typedef void (*Tile)(const char* const* x, const char* const* weights, int64_t inner, int64_t ahead,
                     float* result);

/** Tiles of 1 to tileRows rows. */
template <typename Operand, bool columnsFirst>
constexpr Tile tilesOf[4] = {
    multiplyTile<Operand, 1, columnsFirst>,
    multiplyTile<Operand, 2, columnsFirst>,
    multiplyTile<Operand, 3, columnsFirst>,
    multiplyTile<Operand, (tileRows < 4 ? tileRows : 4), columnsFirst>,
};

template <bool columnsFirst>
static inline const Tile* chooseTiles(uint8_t rowFormat, uint8_t weightFormat) {
#ifdef RND1_MULTIPLIES_BF16
  if (rowFormat == formatBf16) return tilesOf<Bf16, columnsFirst>;
#endif
  (void)rowFormat;
  return weightFormat == formatBf16 ? tilesOf<WidenedBf16, columnsFirst> : tilesOf<F32, columnsFirst>;
}

/**
 * emit(first row, rows, result) for every tile that `weights` lead to. A weight is read from memory for the
 * first rows and from the cache for the rest; meanwhile the next tile's is fetched.
 */
template <typename Row, typename Emit>
static inline void multiplyRows(const Tile* tiles, Row row, int64_t rows, const char* const* weights,
                                int64_t inner, int64_t ahead, Emit emit) {
  alignas(64) float result[tileSums];
  for (int64_t r = 0; r < rows; r += tileRows) {
    const int count = rows - r < tileRows ? static_cast<int>(rows - r) : tileRows;
    const char* pointers[tileRows];
    for (int i = 0; i < count; ++i) pointers[i] = row(r + i);
    tiles[count - 1](pointers, weights, inner, r == 0 ? ahead : 0, result);
    emit(r, count, result);
  }
}

static inline const char* weightRow(const WeightRows& weights, int64_t row) {
  return static_cast<const char*>(weights.data) + row * weights.strideBytes;
}

/** emit(r, c, width, values) for runs of up to tileColumns columns. */
template <typename Row, typename Emit>
static inline void multiplyAll(uint8_t rowFormat, Row row, int64_t rows, const WeightRows& weights,
                               int64_t columns, int64_t inner, Emit emit) {
  const Tile* tiles = chooseTiles<false>(rowFormat, weights.format);
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
  const Tile* tiles = chooseTiles<true>(x.format, gate.format);
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
