// Products of bf16 rows with bf16 weights in tiles of AMX. Included by matmul.inl only.
//
// The backend gives bf16 weights wherever rows are bf16. A sum runs along the whole row in one tile register,
// or through memory: its bits depend on nothing but its operands.

constexpr int64_t tileStep = tileRowBytes / 2;  // elements of a row per product of tiles
// Weight rows whose products are computed side by side, in two tiles.
constexpr int64_t pairColumns = 2 * tileSide;
// Elements of a row whose weights are interleaved at a time, for the L1 cache.
constexpr int64_t pieceElements = 512;
constexpr int64_t pieceSteps = pieceElements / tileStep;
// Tiles of rows whose sums wait for the next piece.
constexpr int64_t waitingTiles = 8;

/** The weight rows of two tiles, one after the other; missing ones repeat the last. */
struct TilePair {
  const char* rows[pairColumns];
  int64_t ahead;  // bytes to the rows of the next pair
};

/** out[k][r] = elements 2k and 2k + 1 of row r, for 16 rows of 64 bytes. */
static inline void interleave(const char* const* rows, int64_t offset, char* out) {
#if defined(__AVX512F__)
#pragma GCC unroll 4
  for (int64_t quarter = 0; quarter < 4; ++quarter) {
    __m512i columns[4];
#pragma GCC unroll 4
    for (int64_t i = 0; i < 4; ++i) {
      const auto at = [&](int64_t row) {
        return _mm_loadu_si128(reinterpret_cast<const __m128i*>(rows[row] + offset + quarter * 16));
      };
      columns[i] = _mm512_castsi128_si512(at(i));
      columns[i] = _mm512_inserti32x4(columns[i], at(i + 4), 1);
      columns[i] = _mm512_inserti32x4(columns[i], at(i + 8), 2);
      columns[i] = _mm512_inserti32x4(columns[i], at(i + 12), 3);
    }
    const __m512i low01 = _mm512_unpacklo_epi32(columns[0], columns[1]);
    const __m512i low23 = _mm512_unpacklo_epi32(columns[2], columns[3]);
    const __m512i high01 = _mm512_unpackhi_epi32(columns[0], columns[1]);
    const __m512i high23 = _mm512_unpackhi_epi32(columns[2], columns[3]);
    char* target = out + quarter * 4 * tileRowBytes;
    _mm512_store_si512(target, _mm512_unpacklo_epi64(low01, low23));
    _mm512_store_si512(target + tileRowBytes, _mm512_unpackhi_epi64(low01, low23));
    _mm512_store_si512(target + 2 * tileRowBytes, _mm512_unpacklo_epi64(high01, high23));
    _mm512_store_si512(target + 3 * tileRowBytes, _mm512_unpackhi_epi64(high01, high23));
  }
#else
  for (int64_t r = 0; r < tileSide; ++r)
    for (int64_t k = 0; k < tileSide; ++k)
      __builtin_memcpy(out + k * tileRowBytes + r * 4, rows[r] + offset + k * 4, 4);
#endif
}

/** A tile of `count` rows of fewer than 64 bytes each, followed by zeros. */
static inline void copyTail(const char* const* rows, int64_t count, int64_t offset, int64_t bytes,
                            char* out) {
  __builtin_memset(out, 0, tileBytes);
  for (int64_t r = 0; r < count; ++r)
    __builtin_memcpy(out + r * tileRowBytes, rows[r] + offset, static_cast<size_t>(bytes));
}

/** Elements [k, k + tileStep) of 16 rows as a right operand; `left` of them exist, the rest are zeros. */
static inline void interleaveStep(const char* const* rows, int64_t k, int64_t left, char* out) {
  if (left >= tileStep) return interleave(rows, k * 2, out);
  alignas(64) char padded[tileBytes];
  copyTail(rows, tileSide, k * 2, left * 2, padded);
  const char* copies[tileSide];
  for (int64_t r = 0; r < tileSide; ++r) copies[r] = padded + r * tileRowBytes;
  interleave(copies, 0, out);
}

/** A piece of two weight tiles' rows, as right operands. */
static inline void interleavePiece(const TilePair& weights, int64_t start, int64_t elements, char* out) {
  for (int64_t k = 0; k < elements; k += tileStep)
    for (int side = 0; side < 2; ++side, out += tileBytes)
      interleaveStep(weights.rows + side * tileSide, start + k, elements - k, out);
}

/** The lines of a pair's next weights, one after the other. */
struct LinesAhead {
  const char* const* rows;
  int64_t offset, lines;  // of each row
  int64_t row = 0, line = 0;

  inline void fetch(int64_t count) {
    for (; count > 0 && row < pairColumns; --count) {
      __builtin_prefetch(rows[row] + offset + line * lineBytes, 0, 2);
      if (++line == lines) {
        line = 0;
        ++row;
      }
    }
  }
};

/** sums (2 · height, pairColumns) += or = two tiles of rows, or one, times a piece of the weights. */
template <bool two>
static inline void multiplyPiece(const char* const* x, int64_t stride, const char* weights, int64_t elements,
                                 bool starts, float* sums, int64_t height, LinesAhead& ahead,
                                 int64_t fetches) {
  constexpr int64_t sumStride = pairColumns * 4;
  float* second = sums + height * pairColumns;
  if (starts) {
    clearTile<0>();
    clearTile<1>();
    if constexpr (two) {
      clearTile<2>();
      clearTile<3>();
    }
  } else {
    loadTile<0>(sums, sumStride);
    loadTile<1>(sums + tileSide, sumStride);
    if constexpr (two) {
      loadTile<2>(second, sumStride);
      loadTile<3>(second + tileSide, sumStride);
    }
  }
  alignas(64) char padded[2][tileBytes];
  for (int64_t k = 0; k < elements; k += tileStep, weights += 2 * tileBytes) {
    const char* rows[2] = {x[0] + k * 2, x[1] + k * 2};
    int64_t rowStride = stride;
    if (elements - k < tileStep) {
      for (int tile = 0; tile < (two ? 2 : 1); ++tile) {
        const char* each[tileSide];
        for (int64_t r = 0; r < height; ++r) each[r] = rows[tile] + r * stride;
        copyTail(each, height, 0, (elements - k) * 2, padded[tile]);
        rows[tile] = padded[tile];
      }
      rowStride = tileRowBytes;
    }
    loadTile<6>(weights, tileRowBytes);
    loadTile<4>(rows[0], rowStride);
    multiplyBf16Tiles<0, 4, 6>();
    loadTile<7>(weights + tileBytes, tileRowBytes);
    multiplyBf16Tiles<1, 4, 7>();
    if constexpr (two) {
      loadTile<5>(rows[1], rowStride);
      multiplyBf16Tiles<2, 5, 6>();
      multiplyBf16Tiles<3, 5, 7>();
    }
    ahead.fetch(fetches);
  }
  storeTile<0>(sums, sumStride);
  storeTile<1>(sums + tileSide, sumStride);
  if constexpr (two) {
    storeTile<2>(second, sumStride);
    storeTile<3>(second + tileSide, sumStride);
  }
}

/** emit(r, sums of pairColumns) for all rows of x; tiles are configured for `tiles`. */
template <typename Emit>
static inline void multiplyPair(const RowSource& x, const RowTiles& tiles, const TilePair& weights,
                                int64_t inner, Emit emit) {
  alignas(64) char interleaved[pieceSteps * 2 * tileBytes];
  alignas(64) float sums[waitingTiles * tileSide * pairColumns];
  for (int64_t first = 0; first < tiles.count; first += waitingTiles) {
    const int64_t end = first + waitingTiles < tiles.count ? first + waitingTiles : tiles.count;
    for (int64_t start = 0; start < inner; start += pieceElements) {
      const int64_t elements = inner - start < pieceElements ? inner - start : pieceElements;
      interleavePiece(weights, start, elements, interleaved);
      const bool last = start + elements == inner;
      const int64_t next = last ? weights.ahead : (start + elements) * 2;
      LinesAhead ahead = {weights.rows, next, (elements * 2 + lineBytes - 1) / lineBytes};
      const int64_t turns = (end - first + 1) / 2 * ((elements + tileStep - 1) / tileStep);
      const int64_t fetches = (pairColumns * ahead.lines + turns - 1) / turns;
      for (int64_t tile = first; tile < end; tile += 2) {
        const bool two = tile + 1 < end;
        const char* rows[2];
        for (int64_t i = 0; i < 2; ++i) rows[i] = rowOf(x, tiles.start(two ? tile + i : tile)) + start * 2;
        float* waiting = sums + (tile - first) * tiles.height * pairColumns;
        (two ? multiplyPiece<true> : multiplyPiece<false>)(rows, x.strideBytes, interleaved, elements,
                                                           start == 0, waiting, tiles.height, ahead, fetches);
      }
    }
    for (int64_t tile = first; tile < end; ++tile) {
      const int64_t start = tiles.start(tile);
      for (int64_t r = tiles.repeated(tile); r < tiles.height; ++r)
        emit(start + r, sums + ((tile - first) * tiles.height + r) * pairColumns);
    }
  }
}

/** Rows [column, …) of two weights, or of one, which the second tile continues. */
static inline TilePair pairAt(const WeightRows& first, const WeightRows& second, int64_t column,
                              int64_t columns, bool continues) {
  TilePair pair;
  for (int64_t r = 0; r < pairColumns; ++r) {
    const WeightRows& weights = r < tileSide ? first : second;
    const int64_t row = column + (continues ? r : r % tileSide);
    pair.rows[r] =
        static_cast<const char*>(weights.data) + (row < columns ? row : columns - 1) * weights.strideBytes;
  }
  pair.ahead = (continues ? pairColumns : tileSide) * first.strideBytes;
  return pair;
}

/** emit(row, first column, columns, sums) for all rows and all pairs of columns. */
template <typename Emit>
static inline void forEachPair(const RowSource& x, int64_t rows, const WeightRows& weights, int64_t columns,
                               int64_t inner, Emit emit) {
  const RowTiles tiles(rows);
  configureTiles(shapesOf(tiles.height, tileRowBytes));
  for (int64_t c = 0; c < columns; c += pairColumns) {
    const int64_t width = columns - c < pairColumns ? columns - c : pairColumns;
    multiplyPair(x, tiles, pairAt(weights, weights, c, columns, true), inner,
                 [&](int64_t r, const float* values) { emit(r, c, width, values); });
  }
  releaseTiles();
}

#include "backend/cpu/float/few_rows.inl"

/** The same; few rows come in runs of tileSide columns. */
template <typename Emit>
static inline void forEachSum(const RowSource& x, int64_t rows, const WeightRows& weights, int64_t columns,
                              int64_t inner, Emit emit) {
  if (areFew(rows, inner)) {
    forEachFew(x, rows, weights, columns, inner, emit);
  } else if (rows > 0) {
    forEachPair(x, rows, weights, columns, inner, emit);
  }
}

static void multiplyInTiles(const RowSource& x, int64_t rows, const WeightRows& weights, int64_t columns,
                            int64_t inner, float* out, int64_t outStride) {
  forEachSum(x, rows, weights, columns, inner, [&](int64_t r, int64_t c, int64_t width, const float* values) {
    __builtin_memcpy(out + r * outStride + c, values, static_cast<size_t>(width) * 4);
  });
}

static void multiplyAccumulateInTiles(const RowSource& x, const int32_t* targets, const float* factors,
                                      int64_t rows, const WeightRows& weights, int64_t columns, int64_t inner,
                                      float* out, int64_t outStride) {
  forEachSum(x, rows, weights, columns, inner, [&](int64_t r, int64_t c, int64_t width, const float* values) {
    float* target = out + targets[r] * outStride + c;
    const auto add = [&](int64_t count) {
      for (int64_t i = 0; i < count; ++i) {
        const float product = factors[r] * values[i];
        target[i] += product;
      }
    };
    // A constant width lets the compiler unroll.
    width == pairColumns ? add(pairColumns) : add(width);
  });
}

static void gateUpInTiles(const RowSource& x, int64_t rows, const WeightRows& gate, const WeightRows& up,
                          int64_t columns, int64_t inner, uint8_t computeDtype, float* out,
                          int64_t outStride) {
  if (rows == 0) return;
  const auto activate = [&](int64_t r, int64_t c, int64_t width, const float* gates, const float* ups) {
    alignas(64) float activated[tileSide];
    for (int64_t i = 0; i < tileSide; i += lanes)
      store(activated + i, swiglu(computeDtype, load(gates + i), load(ups + i)));
    __builtin_memcpy(out + r * outStride + c, activated, static_cast<size_t>(width) * 4);
  };
  if (areFew(rows, inner)) return gateUpFew(x, rows, gate, up, columns, inner, activate);
  const RowTiles tiles(rows);
  configureTiles(shapesOf(tiles.height, tileRowBytes));
  for (int64_t c = 0; c < columns; c += tileSide) {
    const int64_t width = columns - c < tileSide ? columns - c : tileSide;
    multiplyPair(x, tiles, pairAt(gate, up, c, columns, false), inner,
                 [&](int64_t r, const float* values) { activate(r, c, width, values, values + tileSide); });
  }
  releaseTiles();
}

/** Four products of tiles in registers, `rounds` times. */
static float tileProductLoop(int64_t rounds) {
  uint16_t operand[tileStep];
  for (uint16_t& value : operand) value = 0x3f00;  // 0.5
  return loopOverTiles<float>(rounds, operand, [] {
    multiplyBf16Tiles<0, 4, 6>();
    multiplyBf16Tiles<1, 4, 7>();
    multiplyBf16Tiles<2, 5, 6>();
    multiplyBf16Tiles<3, 5, 7>();
  });
}
constexpr int64_t tileProductsPerRound = 4 * tileSide * tileSide * tileStep;
