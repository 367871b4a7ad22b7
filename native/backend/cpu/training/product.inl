// Products that add up rows scaled by single numbers: x · W, x · Wᵀ and doutᵀ · x. Included by kernels.inl
// only.
//
// Each lane holds one column of the result, so that neither operand is summed across lanes.

constexpr int productTileRows = 6;
#if RND1_TILE_COLUMNS == 6
constexpr int productVectors = 4;
#else
constexpr int productVectors = 2;
#endif
constexpr int64_t productPanel = productVectors * lanes;

constexpr int64_t lineFloats = 16;

/** One tile: up to productTileRows rows, and a panel of columns. */
struct ProductTile {
  const float* a[productTileRows];     // of a transposed operand only the first
  const float* next[productTileRows];  // the rows of the tile after this one, unless transposed
  int64_t aStride;                     // from one step to the next, of a transposed operand
  const float* b;
  int64_t bStride;
  int64_t steps;
  float* out[productTileRows];
  bool accumulates;
  int64_t tail;  // columns of the last vector; 0: all
};

template <int rows, int vectors, bool transposed>
static void multiplyTileOf(const ProductTile& tile) {
  F sums[rows][vectors] = {};
  const float* a[rows];
#pragma GCC unroll 8
  for (int r = 0; r < rows; ++r) a[r] = tile.a[transposed ? 0 : r] + (transposed ? r : 0);
  const float* b = tile.b;
  const int64_t steps = tile.steps, aStride = transposed ? tile.aStride : 1, bStride = tile.bStride;
  const auto multiplyStep = [&](int64_t p) {
    F columns[vectors];
#pragma GCC unroll 4
    for (int v = 0; v < vectors; ++v) columns[v] = load(b + v * lanes);
#pragma GCC unroll 8
    for (int r = 0; r < rows; ++r) {
      const F factor = splat(transposed ? a[0][p * aStride + r] : a[r][p]);
#pragma GCC unroll 4
      for (int v = 0; v < vectors; ++v) sums[r][v] = multiplyAdd(factor, columns[v], sums[r][v]);
    }
    b += bStride;
  };
  int64_t p = 0;
  if constexpr (!transposed) {
    // Rows are short and start anew with every tile: too little for the hardware's prefetcher.
    for (; p + lineFloats <= steps; p += lineFloats) {
#pragma GCC unroll 8
      for (int r = 0; r < rows; ++r) __builtin_prefetch(tile.next[r] + p);
      for (int64_t i = 0; i < lineFloats; ++i) multiplyStep(p + i);
    }
  }
  for (; p < steps; ++p) multiplyStep(p);
#pragma GCC unroll 8
  for (int r = 0; r < rows; ++r)
#pragma GCC unroll 4
    for (int v = 0; v < vectors; ++v) {
      float* out = tile.out[r] + v * lanes;
      if (v + 1 < vectors || tile.tail == 0) {
        store(out, tile.accumulates ? load(out) + sums[r][v] : sums[r][v]);
      } else {
        const F before = tile.accumulates ? loadFirst(out, tile.tail) : F{};
        storeFirst(out, tile.accumulates ? before + sums[r][v] : sums[r][v], tile.tail);
      }
    }
}

typedef void (*MultiplyTile)(const ProductTile& tile);

template <int vectors, bool transposed>
constexpr MultiplyTile tilesOfVectors[productTileRows] = {
    multiplyTileOf<1, vectors, transposed>, multiplyTileOf<2, vectors, transposed>,
    multiplyTileOf<3, vectors, transposed>, multiplyTileOf<4, vectors, transposed>,
    multiplyTileOf<5, vectors, transposed>, multiplyTileOf<6, vectors, transposed>};

template <bool transposed>
static inline const MultiplyTile* productTiles(int64_t vectors) {
#if RND1_TILE_COLUMNS == 6
  if (vectors == 4) return tilesOfVectors<4, transposed>;
  if (vectors == 3) return tilesOfVectors<3, transposed>;
#endif
  return vectors == 2 ? tilesOfVectors<2, transposed> : tilesOfVectors<1, transposed>;
}

static inline int64_t indexed(const int32_t* index, int64_t i) { return index ? index[i] : i; }

/** Packs rows of a transposed operand by tile: (tiles, steps, productTileRows). */
static inline void packTransposed(const Product& product, int64_t firstRow, int64_t rows, int64_t firstStep,
                                  int64_t steps, float* packed) {
  const int64_t tile = steps * productTileRows;
  for (int64_t p = 0; p < steps; ++p) {
    const float* source = product.a + indexed(product.aIndex, firstStep + p) * product.aStride + firstRow;
    float* target = packed + p * productTileRows;
    int64_t row = 0;
    for (; row + productTileRows <= rows; row += productTileRows, target += tile)
      __builtin_memcpy(target, source + row, productTileRows * 4);
    for (int64_t r = 0; row + r < rows; ++r) target[r] = source[row + r];
  }
}

static inline F loadWide(const float* values) { return load(values); }
static inline F loadWide(const uint16_t* values) { return bf16ToF32(values); }
static inline F loadFirstWide(const float* values, int64_t count) { return loadFirst(values, count); }
static inline F loadFirstWide(const uint16_t* values, int64_t count) {
  uint16_t first[lanes] = {};
  __builtin_memcpy(first, values, static_cast<size_t>(count) * 2);
  return bf16ToF32(first);
}
static inline float wide(float value) { return value; }
static inline float wide(uint16_t value) { return __builtin_bit_cast(float, uint32_t{value} << 16); }

/** out[column · outStride + row] = rows[row][column], with zeros up to a whole vector of rows. */
template <typename T>
static inline void transposeVectors(const T* rows, int64_t stride, int64_t count, int64_t columns, float* out,
                                    int64_t outStride) {
  for (int64_t first = 0; first < count; first += lanes) {
    const int64_t present = count - first < lanes ? count - first : lanes;
    int64_t column = 0;
    for (; column + lanes <= columns; column += lanes) {
      F square[lanes] = {};
      for (int64_t j = 0; j < present; ++j) square[j] = loadWide(rows + (first + j) * stride + column);
      transpose(square);
#pragma GCC unroll 16
      for (int64_t j = 0; j < lanes; ++j) store(out + (column + j) * outStride + first, square[j]);
    }
    for (; column < columns; ++column)
      for (int64_t j = 0; j < lanes; ++j)
        out[column * outStride + first + j] = j < present ? wide(rows[(first + j) * stride + column]) : 0;
  }
}

template <typename T>
static inline void packPanelOf(const Product& product, const T* b, int64_t firstStep, int64_t steps,
                               int64_t column, int64_t vectors, int64_t tail, float* packed) {
  if (product.turned) {
    const int64_t count = tail > 0 ? (vectors - 1) * lanes + tail : vectors * lanes;
    return transposeVectors(b + column * product.bStride + firstStep, product.bStride, count, steps, packed,
                            vectors * lanes);
  }
  const int64_t whole = tail > 0 ? vectors - 1 : vectors;
  for (int64_t p = 0; p < steps; ++p, packed += vectors * lanes) {
    const T* source = b + indexed(product.bIndex, firstStep + p) * product.bStride + column;
    // The next panel's; beyond the last column it does no harm.
    __builtin_prefetch(source + productPanel, 0, 2);
    for (int64_t v = 0; v < whole; ++v) store(packed + v * lanes, loadWide(source + v * lanes));
    if (tail > 0) store(packed + whole * lanes, loadFirstWide(source + whole * lanes, tail));
  }
}

/** Some steps of some rows, for all columns. `packedRows`: these rows of a transposed operand, or null. */
template <bool transposed>
static inline void multiplyPanels(const Product& product, int64_t firstRow, int64_t rows, int64_t firstStep,
                                  int64_t steps, const float* packedRows, float* panel) {
  for (int64_t column = 0; column < product.columns; column += productPanel) {
    const int64_t left = product.columns - column, width = left < productPanel ? left : productPanel;
    const int64_t vectors = (width + lanes - 1) / lanes, tail = width % lanes;
    ProductTile tile;
    tile.steps = steps;
    tile.accumulates = product.accumulates || firstStep > 0;
    tile.tail = tail;
    if (product.b.halves || product.packs || product.turned || product.bIndex || tail > 0) {
      if (product.b.halves)
        packPanelOf(product, product.b.halves, firstStep, steps, column, vectors, tail, panel);
      else
        packPanelOf(product, product.b.floats, firstStep, steps, column, vectors, tail, panel);
      tile.b = panel;
      tile.bStride = vectors * lanes;
    } else {
      tile.b = product.b.floats + firstStep * product.bStride + column;
      tile.bStride = product.bStride;
    }
    const MultiplyTile* multiplyTiles = productTiles<transposed>(vectors);
    for (int64_t start = 0; start < rows; start += productTileRows) {
      const int64_t count = rows - start < productTileRows ? rows - start : productTileRows;
      if (packedRows) {
        tile.a[0] = packedRows + start * steps;
        tile.aStride = productTileRows;
      } else if (transposed) {
        tile.a[0] = product.a + firstStep * product.aStride + firstRow + start;
        tile.aStride = product.aStride;
      }
      for (int64_t r = 0; r < count; ++r) {
        const int64_t row = firstRow + start + r;
        if (!transposed) {
          const auto rowAt = [&](int64_t i) {
            return product.a + indexed(product.aIndex, i) * product.aStride + firstStep;
          };
          tile.a[r] = rowAt(row);
          tile.next[r] = row + productTileRows < firstRow + rows ? rowAt(row + productTileRows) : tile.a[r];
        }
        tile.out[r] = product.out + indexed(product.outIndex, row) * product.outStride + column;
      }
      multiplyTiles[count - 1](tile);
    }
  }
}

static void product(const Product& product) {
  float* panel = product.scratch;
  float* packed = panel + productSteps * widestPanel;
  for (int64_t step = 0; step < product.steps; step += productSteps) {
    const int64_t left = product.steps - step, steps = left < productSteps ? left : productSteps;
    if (!product.transposed) {
      multiplyPanels<false>(product, 0, product.rows, step, steps, nullptr, panel);
      continue;
    }
    const bool packs = product.packs || product.aIndex;
    const int64_t block = packs ? productRows : product.rows;
    for (int64_t row = 0; row < product.rows; row += block) {
      const int64_t rows = product.rows - row < block ? product.rows - row : block;
      if (packs) packTransposed(product, row, rows, step, steps, packed);
      multiplyPanels<true>(product, row, rows, step, steps, packs ? packed : nullptr, panel);
    }
  }
}

static void transposeRows(const float* rows, int64_t stride, int64_t count, int64_t columns, float* out,
                          int64_t outStride) {
  transposeVectors(rows, stride, count, columns, out, outStride);
  const int64_t filled = (count + lanes - 1) / lanes * lanes;
  const int64_t padded = (count + widestVector - 1) / widestVector * widestVector;
  for (int64_t column = 0; column < columns; ++column)
    for (int64_t j = filled; j < padded; ++j) out[column * outStride + j] = 0;
}
