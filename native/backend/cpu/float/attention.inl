// Attention with an online softmax over blocks of keys. Included by kernels.inl only.
//
// Each lane holds one key: panels of `lanes` keys, dimension by dimension. For values, each lane holds one
// dimension, key by key. A *unit* is what a lane multiplies at a time: an f32, or a pair of bf16 along the
// inner dimension (dimensions of keys, keys of values).

/** Products of f32. */
struct WideUnits {
  static constexpr int64_t pair = 1;
  static inline F accumulate(F sums, float broadcast, F panel) {
    return multiplyAdd(splat(broadcast), panel, sums);
  }
  /** Units along one row, from `lanes` · pair of its elements: `high` are the second half; here, none. */
  static inline F packAlong(F low, F) { return low; }
  /** Units along keys: `low` and `high` are two rows; here, only `low`. */
  static inline F packKeys(F low, F) { return low; }
  static inline F rounded(uint8_t computeDtype, F weights) { return roundTo(computeDtype, weights); }
};

#ifdef RND1_MULTIPLIES_BF16
/** Products of bf16, two per lane. */
struct Bf16Units {
  static constexpr int64_t pair = 2;
  static inline F accumulate(F sums, float broadcast, F panel) {
    const F units = (F)(U{} + __builtin_bit_cast(uint32_t, broadcast));
    return Bf16::accumulate(sums, (Bf16::Vector)units, (Bf16::Vector)panel);
  }
  static inline F packAlong(F low, F high) { return (F)Bf16::pack(low, high); }
  static inline F packKeys(F low, F high) { return (F)(((U)low >> 16) | ((U)high & 0xffff0000u)); }
  /** packAlong rounds. */
  static inline F rounded(uint8_t, F weights) { return weights; }
};
#endif

#if RND1_TILE_COLUMNS == 6
constexpr int softmaxRows = 6;
#else
constexpr int softmaxRows = 3;
#endif
constexpr int panelsAtOnce = 4;

/** Σ_i rows[r][i] · panels[i][v]: `steps` units against `vectors` vectors of a panel. Sums start as
 * start(r, v), and finish(r, v, sum) takes them. */
template <typename Units, int vectors, typename Start, typename Finish>
static inline void multiplyPanel(const float* rows, int64_t rowStride, const float* panels,
                                 int64_t panelStride, int64_t steps, Start start, Finish finish) {
  F total[softmaxRows][vectors];
#pragma GCC unroll 8
  for (int r = 0; r < softmaxRows; ++r)
#pragma GCC unroll 4
    for (int v = 0; v < vectors; ++v) total[r][v] = start(r, v);
  for (int64_t i = 0; i < steps; ++i) {
    F panel[vectors];
#pragma GCC unroll 4
    for (int v = 0; v < vectors; ++v) panel[v] = load(panels + i * panelStride + v * lanes);
#pragma GCC unroll 8
    for (int r = 0; r < softmaxRows; ++r) {
      const float unit = rows[r * rowStride + i];
#pragma GCC unroll 4
      for (int v = 0; v < vectors; ++v) total[r][v] = Units::accumulate(total[r][v], unit, panel[v]);
    }
  }
#pragma GCC unroll 8
  for (int r = 0; r < softmaxRows; ++r)
#pragma GCC unroll 4
    for (int v = 0; v < vectors; ++v) finish(r, v, total[r][v]);
}

/** The elements [first, first + lanes) of a row; zeros follow the last. */
static inline F loadWithin(const float* row, int64_t first, int64_t count) {
  if (first + lanes <= count) return load(row + first);
  return first < count ? loadFirst(row + first, count - first) : F{};
}

/** Units along one row, whose values are rounded already; zeros follow, up to the end of a vector. */
template <typename Units>
static inline void packRow(const float* row, int64_t count, float* units) {
  for (int64_t d = 0; d < count; d += lanes * Units::pair, units += lanes)
    store(units, Units::packAlong(loadWithin(row, d, count),
                                  Units::pair == 2 ? loadWithin(row, d + lanes, count) : F{}));
}

/** Transposes `lanes` rows of `steps` units into panel[step · panelsAtOnce][lane]. */
static inline void packPanel(const float* rows, int64_t steps, float* panel) {
  constexpr int64_t stride = panelsAtOnce * lanes;
  int64_t step = 0;
  for (; step + lanes <= steps; step += lanes) {
    F square[lanes];
#pragma GCC unroll 16
    for (int64_t j = 0; j < lanes; ++j) square[j] = load(rows + j * steps + step);
    transpose(square);
#pragma GCC unroll 16
    for (int64_t j = 0; j < lanes; ++j) store(panel + (step + j) * stride, square[j]);
  }
  for (; step < steps; ++step)
    for (int64_t j = 0; j < lanes; ++j)
      __builtin_memcpy(panel + step * stride + j, rows + j * steps + step, 4);
}

/** Running results of a tile's rows. */
struct SoftmaxRows {
  float *maxima, *totals;
  float* factors;  // for earlier sums of the rows; stored as whole vectors
};

/** Turns scores (softmaxRows, keyBlock) into rounded weights (softmaxRows, keyBlock / pair) of units. */
template <typename Units>
[[gnu::noinline]] static void softmaxTile(const float* scores, bool firstBlock, uint8_t computeDtype,
                                          const SoftmaxRows& state, float* weights) {
  constexpr int64_t padded = (softmaxRows + lanes - 1) / lanes * lanes;
  alignas(64) float maxima[padded], totals[padded];
  F folded[softmaxRows];
#pragma GCC unroll 8
  for (int q = 0; q < softmaxRows; ++q) {
    folded[q] = splat(-__builtin_inff());
    for (int64_t j = 0; j < keyBlock; j += lanes)
      folded[q] = maximum(load(scores + q * keyBlock + j), folded[q]);
  }
  foldEach<Largest, softmaxRows>(folded, maxima);
  for (int64_t q = 0; q < softmaxRows; q += lanes) {
    const F before = loadWithin(state.maxima, q, softmaxRows);
    const F now = maximum(load(maxima + q), before);
    store(maxima + q, now);
    // The first block has nothing to rescale, and −∞ − −∞ would be NaN.
    store(state.factors + q, firstBlock ? F{} : exponential(before - now));
  }
  for (int q = 0; q < softmaxRows; ++q) {
    F total = {};
    for (int64_t j = 0; j < keyBlock; j += lanes * exponentialsAtOnce) {
      F weight[exponentialsAtOnce];
#pragma GCC unroll 4
      for (int i = 0; i < exponentialsAtOnce; ++i)
        weight[i] = load(scores + q * keyBlock + j + i * lanes) - maxima[q];
      exponentials(weight);
#pragma GCC unroll 4
      for (int i = 0; i < exponentialsAtOnce; ++i) {
        total += weight[i];
        weight[i] = Units::rounded(computeDtype, weight[i]);
      }
#pragma GCC unroll 4
      for (int i = 0; i < exponentialsAtOnce; i += Units::pair)
        store(weights + (q * keyBlock + j + i * lanes) / Units::pair,
              Units::packAlong(weight[i], Units::pair == 2 ? weight[i + Units::pair - 1] : F{}));
    }
    folded[q] = total;
  }
  foldEach<Adding, softmaxRows>(folded, totals);
  for (int64_t q = 0; q < softmaxRows; ++q) {
    state.totals[q] = state.totals[q] * state.factors[q] + totals[q];
    state.maxima[q] = maxima[q];
  }
}

/** Rows [first, first + count) as f32: in place, or widened into `wide` (count, headDim), to which `stride`
 * is then set. */
static inline const float* wideRows(const void* rows, uint8_t format, int64_t first, int64_t count,
                                    int64_t headDim, int64_t* stride, float* wide) {
  if (format == formatF32) return static_cast<const float*>(rows) + first * *stride;
  const uint16_t* narrow = static_cast<const uint16_t*>(rows) + first * *stride;
  for (int64_t j = 0; j < count; ++j)
    widen(narrow + j * *stride, format, formatF32, headDim, wide + j * headDim);
  *stride = headDim;
  return wide;
}

/** Fetches rows [first, first + count) of keys and values, `headDim` long. */
static inline void prefetchKeys(const AttentionBlock& block, int64_t first, int64_t count) {
  const int64_t elementBytes = block.keyFormat == formatF32 ? 4 : 2;
  const char* key = static_cast<const char*>(block.key) + first * block.keyStride * elementBytes;
  const char* value = static_cast<const char*>(block.value) + first * block.valueStride * elementBytes;
  for (; count > 0; --count) {
    for (int64_t byte = 0; byte < block.headDim * elementBytes; byte += lineBytes) {
      __builtin_prefetch(key + byte, 0, 2);
      __builtin_prefetch(value + byte, 0, 2);
    }
    key += block.keyStride * elementBytes;
    value += block.valueStride * elementBytes;
  }
}

template <typename Units>
static void attentionOf(const AttentionBlock& block) {
  const int64_t headDim = block.headDim;
  const int64_t steps = (headDim + Units::pair - 1) / Units::pair;
  const int64_t width = (headDim + lanes - 1) / lanes * lanes;
  const int64_t rows = (block.count + softmaxRows - 1) / softmaxRows * softmaxRows;
  float* queries = block.scratch;                 // (rows, steps) units
  float* sums = queries + attentionRows * width;  // (rows, width)
  float* keys = sums + attentionRows * width;     // (keyBlock, steps) units, then panels of them
  float* panels = keys + keyBlock * width;    // (keyBlock / lanes / panelsAtOnce, steps, panelsAtOnce, lanes)
  float* values = panels + keyBlock * width;  // (keyBlock / pair, width) units
  float* scores = values + keyBlock * width;  // (softmaxRows, keyBlock)
  float* weights = scores + softmaxRows * keyBlock;  // (softmaxRows, keyBlock / pair) units
  float factors[16];
  float* maxima = scores + 16 * keyBlock;
  float* totals = maxima + attentionRows;
  float* wideKeys = totals + attentionRows;         // (keyBlock, headDim)
  float* wideValues = wideKeys + keyBlock * width;  // likewise

  const auto queryOffset = [&](int64_t index, int64_t stride) {
    return index / block.group * stride + index % block.group * headDim;
  };
  // Padding rows of the last tile are zeros.
  __builtin_memset(queries, 0, static_cast<size_t>(rows * steps) * 4);
  __builtin_memset(sums, 0, static_cast<size_t>(rows * width) * 4);
  for (int64_t r = 0; r < block.count; ++r)
    packRow<Units>(block.query + queryOffset(block.first + r, block.queryStride), headDim,
                   queries + r * steps);
  for (int64_t r = 0; r < rows; ++r) {
    maxima[r] = -__builtin_inff();
    totals[r] = 0;
  }

  // Queries see the first keys only, the last query the most.
  const auto visibleTo = [&](int64_t r) {
    if (block.maskBlock == 0) return block.keys;
    const int64_t last = r < block.count ? r : block.count - 1;
    return visibleKeyCount(block.maskBlock, block.positions[(block.first + last) / block.group], block.keys);
  };
  const int64_t visibleKeys = visibleTo(rows);
  for (int64_t first = 0; first < visibleKeys; first += keyBlock) {
    const int64_t count = visibleKeys - first < keyBlock ? visibleKeys - first : keyBlock;
    const int64_t usedPanels = (count + lanes * panelsAtOnce - 1) / (lanes * panelsAtOnce) * panelsAtOnce;
    int64_t keyStride = block.keyStride, valueStride = block.valueStride;
    const float* key = wideRows(block.key, block.keyFormat, first, count, headDim, &keyStride, wideKeys);
    const float* value =
        wideRows(block.value, block.keyFormat, first, count, headDim, &valueStride, wideValues);
    __builtin_memset(keys, 0, static_cast<size_t>(usedPanels * lanes * steps) * 4);
    for (int64_t j = 0; j < count; ++j) packRow<Units>(key + j * keyStride, headDim, keys + j * steps);
    for (int64_t panel = 0; panel < usedPanels; ++panel) {
      const int64_t group = panel / panelsAtOnce, place = panel % panelsAtOnce;
      packPanel(keys + panel * lanes * steps, steps, panels + (group * steps * panelsAtOnce + place) * lanes);
    }
    for (int64_t j = 0; j < count; j += Units::pair) {
      const float* low = value + j * valueStride;
      for (int64_t d = 0; d < width; d += lanes) {
        const bool pairs = Units::pair == 2 && j + 1 < count;
        const F high = pairs ? loadWithin(low + valueStride, d, headDim) : F{};
        store(values + j / Units::pair * width + d, Units::packKeys(loadWithin(low, d, headDim), high));
      }
    }

    // The next block's keys arrive meanwhile.
    const int64_t keysPerTile = (keyBlock * softmaxRows + rows - 1) / rows;
    int64_t ahead = first + keyBlock;
    const int64_t aheadEnd = visibleKeys - ahead < keyBlock ? visibleKeys : ahead + keyBlock;
    for (int64_t r = 0; r < rows; r += softmaxRows, ahead += keysPerTile) {
      prefetchKeys(block, ahead, aheadEnd - ahead < keysPerTile ? aheadEnd - ahead : keysPerTile);
      if (visibleTo(r + softmaxRows - 1) <= first) continue;
      for (int64_t panel = 0; panel < usedPanels; panel += panelsAtOnce)
        multiplyPanel<Units, panelsAtOnce>(
            queries + r * steps, steps, panels + panel * lanes * steps, panelsAtOnce * lanes, steps,
            [](int, int) { return F{}; },
            [&](int q, int v, F sum) {
              store(scores + q * keyBlock + (panel + v) * lanes, sum * block.scale);
            });
      for (int q = 0; q < softmaxRows; ++q) {
        const int64_t visible = visibleTo(r + q) - first;
        const int64_t seen = visible < 0 ? 0 : visible < count ? visible : count;
        for (int64_t j = seen; j < keyBlock; ++j) scores[q * keyBlock + j] = -__builtin_inff();
      }
      softmaxTile<Units>(scores, first == 0, block.computeDtype, {maxima + r, totals + r, factors}, weights);
      const int64_t units = (count + Units::pair - 1) / Units::pair;
      float* const tileSums = sums + r * width;
      const auto sumsAt = [&](int q, int64_t d) { return tileSums + q * width + d; };
      const auto addColumns = [&]<int vectors>(int64_t d) {
        multiplyPanel<Units, vectors>(
            weights, keyBlock / Units::pair, values + d, width, units,
            [&](int q, int v) { return load(sumsAt(q, d + v * lanes)) * factors[q]; },
            [&](int q, int v, F sum) { store(sumsAt(q, d + v * lanes), sum); });
      };
      int64_t d = 0;
      for (; d + panelsAtOnce * lanes <= width; d += panelsAtOnce * lanes)
        addColumns.template operator()<panelsAtOnce>(d);
      for (; d < width; d += lanes) addColumns.template operator()<1>(d);
    }
  }

  for (int64_t r = 0; r < block.count; ++r) {
    const int64_t index = block.first + r;
    float* out = block.out + queryOffset(index, block.outStride);
    const float factor = 1.0f / totals[r];
    for (int64_t d = 0; d < headDim; ++d) out[d] = sums[r * width + d] * factor;
    round(block.computeDtype, headDim, out);
    if (block.logSumExp)
      block.logSumExp[index / block.group * block.logSumExpStride + index % block.group] =
          maxima[r] + __builtin_logf(totals[r]);
  }
}

static void attention(const AttentionBlock& block) {
#ifdef RND1_MULTIPLIES_BF16
  if (block.computeDtype == formatBf16) return attentionOf<Bf16Units>(block);
#endif
  attentionOf<WideUnits>(block);
}
