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
  /** Units along the dimensions of one row. */
  static inline void packRow(const float* row, int64_t headDim, float* units) {
    __builtin_memcpy(units, row, static_cast<size_t>(headDim) * 4);
  }
  /** Units along keys: `low` and `high` are two rows; here, only `low`. */
  static inline F packKeys(F low, F) { return low; }
};

#ifdef RND1_MULTIPLIES_BF16
/** Products of bf16, two per lane. Packed values are already rounded. */
struct Bf16Units {
  static constexpr int64_t pair = 2;
  static inline F accumulate(F sums, float broadcast, F panel) {
    const F units = (F)(U{} + __builtin_bit_cast(uint32_t, broadcast));
    return Bf16::accumulate(sums, (Bf16::Vector)units, (Bf16::Vector)panel);
  }
  static inline void packRow(const float* row, int64_t headDim, float* units) {
    narrow(row, formatF32, formatBf16, headDim, reinterpret_cast<uint16_t*>(units));
  }
  static inline F packKeys(F low, F high) { return (F)(((U)low >> 16) | ((U)high & 0xffff0000u)); }
};
#endif

#if RND1_TILE_COLUMNS == 6
constexpr int softmaxRows = 6;
#else
constexpr int softmaxRows = 3;
#endif
constexpr int panelsAtOnce = 4;

/** sums[r][v] += Σ_i rows[r][i] · panels[i][v]: `steps` units against `vectors` vectors of a panel. */
template <typename Units, int vectors>
static inline void accumulatePanel(const float* rows, int64_t rowStride, const float* panels,
                                   int64_t panelStride, int64_t vectorStride, int64_t steps, float* sums,
                                   int64_t sumStride) {
  F total[softmaxRows][vectors];
#pragma GCC unroll 8
  for (int r = 0; r < softmaxRows; ++r)
#pragma GCC unroll 4
    for (int v = 0; v < vectors; ++v) total[r][v] = load(sums + r * sumStride + v * lanes);
  for (int64_t i = 0; i < steps; ++i) {
    F panel[vectors];
#pragma GCC unroll 4
    for (int v = 0; v < vectors; ++v) panel[v] = load(panels + i * panelStride + v * vectorStride);
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
    for (int v = 0; v < vectors; ++v) store(sums + r * sumStride + v * lanes, total[r][v]);
}

/** Transposes rows of `steps` units into panel[step][lane]. */
static inline void packPanel(const float* rows, int64_t rowStride, int64_t steps, float* panel) {
  int64_t step = 0;
  for (; step + lanes <= steps; step += lanes) {
    F square[lanes];
#pragma GCC unroll 16
    for (int64_t j = 0; j < lanes; ++j) square[j] = load(rows + j * rowStride + step);
    transpose(square);
#pragma GCC unroll 16
    for (int64_t j = 0; j < lanes; ++j) store(panel + (step + j) * lanes, square[j]);
  }
  for (; step < steps; ++step)
    for (int64_t j = 0; j < lanes; ++j)
      __builtin_memcpy(panel + step * lanes + j, rows + j * rowStride + step, 4);
}

/** Turns one row of scores into rounded weights and updates its running maximum and total. Returns the
 * factor for earlier sums. */
static inline float softmaxRow(float* scores, int64_t count, bool firstBlock, uint8_t computeDtype,
                               float* maximumSoFar, float* totalSoFar) {
  for (int64_t j = count > 0 ? count : 0; j < keyBlock; ++j) scores[j] = -__builtin_inff();
  F best = splat(*maximumSoFar);
  for (int64_t j = 0; j < keyBlock; j += lanes) best = maximum(load(scores + j), best);
  const float newMaximum = largest(best);
  F total = {};
  for (int64_t j = 0; j < keyBlock; j += lanes) {
    const F probability = exponential(load(scores + j) - newMaximum);
    total += probability;
    store(scores + j, roundTo(computeDtype, probability));
  }
  // The first block has nothing to rescale, and −∞ − −∞ would be NaN.
  const float correction = firstBlock ? 0.0f : exponential(splat(*maximumSoFar - newMaximum))[0];
  *totalSoFar = *totalSoFar * correction + sum(total);
  *maximumSoFar = newMaximum;
  return correction;
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

template <typename Units>
static void attentionOf(const AttentionBlock& block) {
  const int64_t headDim = block.headDim;
  const int64_t steps = (headDim + Units::pair - 1) / Units::pair;
  const int64_t width = (headDim + lanes - 1) / lanes * lanes;
  const int64_t rows = (block.count + softmaxRows - 1) / softmaxRows * softmaxRows;
  float* queries = block.scratch;                    // (rows, steps) units
  float* sums = queries + attentionRows * width;     // (rows, width)
  float* keys = sums + attentionRows * width;        // (keyBlock, steps) units, then panels of them
  float* panels = keys + keyBlock * width;           // (keyBlock / lanes, steps, lanes)
  float* values = panels + keyBlock * width;         // (keyBlock / pair, width) units
  float* scores = values + keyBlock * width;         // (softmaxRows, keyBlock)
  float* weights = scores + softmaxRows * keyBlock;  // (softmaxRows, keyBlock) units
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
    Units::packRow(block.query + queryOffset(block.first + r, block.queryStride), headDim,
                   queries + r * steps);
  for (int64_t r = 0; r < rows; ++r) {
    maxima[r] = -__builtin_inff();
    totals[r] = 0;
  }

  // Queries see the first keys only, the last query the most.
  const auto visibleTo = [&](int64_t r) {
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
    for (int64_t j = 0; j < count; ++j) Units::packRow(key + j * keyStride, headDim, keys + j * steps);
    for (int64_t panel = 0; panel < usedPanels; ++panel)
      packPanel(keys + panel * lanes * steps, steps, steps, panels + panel * lanes * steps);
    for (int64_t j = 0; j < count; j += Units::pair) {
      const float* low = value + j * valueStride;
      for (int64_t d = 0; d < width; d += lanes) {
        const bool whole = d + lanes <= headDim;
        const F lowPart = whole ? load(low + d) : loadFirst(low + d, headDim - d);
        F highPart = {};
        if (Units::pair == 2 && j + 1 < count) {
          const float* high = low + valueStride;
          highPart = whole ? load(high + d) : loadFirst(high + d, headDim - d);
        }
        store(values + j / Units::pair * width + d, Units::packKeys(lowPart, highPart));
      }
    }

    for (int64_t r = 0; r < rows; r += softmaxRows) {
      if (visibleTo(r + softmaxRows - 1) <= first) continue;
      __builtin_memset(scores, 0, sizeof(float) * softmaxRows * keyBlock);
      for (int64_t panel = 0; panel < usedPanels; panel += panelsAtOnce)
        accumulatePanel<Units, panelsAtOnce>(queries + r * steps, steps, panels + panel * lanes * steps,
                                             lanes, lanes * steps, steps, scores + panel * lanes, keyBlock);
      float* tileSums = sums + r * width;
      for (int q = 0; q < softmaxRows; ++q) {
        float* row = scores + q * keyBlock;
        for (int64_t j = 0; j < keyBlock; j += lanes) store(row + j, load(row + j) * block.scale);
        const int64_t visible = visibleTo(r + q) - first;
        const float correction = softmaxRow(row, visible < count ? visible : count, first == 0,
                                            block.computeDtype, &maxima[r + q], &totals[r + q]);
        if (correction != 1.0f)
          for (int64_t d = 0; d < width; d += lanes)
            store(tileSums + q * width + d, load(tileSums + q * width + d) * correction);
        Units::packRow(row, keyBlock, weights + q * keyBlock);
      }
      const int64_t units = (count + Units::pair - 1) / Units::pair;
      int64_t d = 0;
      for (; d + panelsAtOnce * lanes <= width; d += panelsAtOnce * lanes)
        accumulatePanel<Units, panelsAtOnce>(weights, keyBlock, values + d, width, lanes, units, tileSums + d,
                                             width);
      for (; d < width; d += lanes)
        accumulatePanel<Units, 1>(weights, keyBlock, values + d, width, lanes, units, tileSums + d, width);
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
