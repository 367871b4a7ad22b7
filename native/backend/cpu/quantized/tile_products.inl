// Products of quantized activations with panels in tiles of AMX. Included by kernels.inl only.
//
// A group of a panel is a right operand as it lies in memory (q8) or once its integers are bytes (q5, q4).
// The sums of a group go through memory to become f32, while the next ones are computed.

constexpr int64_t tileRows = 64;
// With fewer rows, registers are faster.
constexpr int64_t rowsByGroup = registerRows + 1;

/** One group of two panels times one or two tiles of rows: (2 · height, panelPair) integers. */
template <bool two>
static inline void multiplyGroup(const int8_t* const* x, int64_t stride) {
  clearTile<0>();
  loadTile<4>(x[0], stride);
  multiplyByteTiles<0, 4, 6>();
  clearTile<1>();
  multiplyByteTiles<1, 4, 7>();
  if constexpr (two) {
    clearTile<2>();
    loadTile<5>(x[1], stride);
    multiplyByteTiles<2, 5, 6>();
    clearTile<3>();
    multiplyByteTiles<3, 5, 7>();
  }
}

template <bool two>
static inline void storeSums(int32_t* sums, int64_t height) {
  constexpr int64_t stride = panelPair * 4;
  storeTile<0>(sums, stride);
  storeTile<1>(sums + tileSide, stride);
  if constexpr (two) {
    storeTile<2>(sums + height * panelPair, stride);
    storeTile<3>(sums + height * panelPair + tileSide, stride);
  }
}

/** Integers of some rows, with what makes them f32. */
struct WaitingSums {
  const int32_t* sums;  // (rows, panelPair)
  const float* scales;  // of the rows
  const GroupSum* groupSums;
  float* totals;  // (rows, panelPair)
  int64_t rows;
  const uint16_t* weightScales[2];
  const uint16_t* minimums[2];  // not of q8
};

/** totals += xScale · (scale · sum + minimum · Σ x), as register_products.inl computes it. */
template <uint8_t format>
static inline void addToTotals(const WaitingSums& waiting) {
  constexpr int vectors = 2 * vectorsPerPanel;
  F scales[vectors], minimums[vectors];
#pragma GCC unroll 8
  for (int v = 0; v < vectors; ++v) {
    const int part = v % vectorsPerPanel * lanes;
    scales[v] = loadHalves(waiting.weightScales[v / vectorsPerPanel] + part);
    if constexpr (format != formatQ8) minimums[v] = loadHalves(waiting.minimums[v / vectorsPerPanel] + part);
  }
  const int32_t* __restrict sums = waiting.sums;
  float* __restrict totals = waiting.totals;
#pragma GCC unroll 2
  for (int64_t r = 0; r < waiting.rows; ++r, sums += panelPair, totals += panelPair) {
    const GroupSum groupSum = waiting.groupSums[r];
    const F xScales = splat(waiting.scales[r]);
#pragma GCC unroll 8
    for (int v = 0; v < vectors; ++v) {
      I integers;
      __builtin_memcpy(&integers, sums + v * lanes, sizeof integers);
      if constexpr (format == formatQ8) integers += groupSum.offset;
      F product = scales[v] * __builtin_convertvector(integers, F);
      if constexpr (format != formatQ8) product = fusedMultiplyAdd(minimums[v], splat(groupSum.sum), product);
      store(totals + v * lanes, fusedMultiplyAdd(xScales, product, load(totals + v * lanes)));
    }
  }
}

/** The integers of one group of a panel as bytes. */
template <uint8_t format>
static inline void unpack(const uint8_t* values, int64_t group, uint8_t* out) {
  typedef uint8_t Bytes __attribute__((vector_size(lineBytes)));
  for (int64_t block = 0; block < group / 32; ++block) {
    Bytes fifths = {};
    if constexpr (format == formatQ5) __builtin_memcpy(&fifths, values + 4 * lineBytes, lineBytes);
    for (int line = 0; line < 4; ++line, values += lineBytes, out += 2 * lineBytes) {
      Bytes nibbles;
      __builtin_memcpy(&nibbles, values, lineBytes);
      Bytes low = nibbles & 15, high = nibbles >> 4;
      if constexpr (format == formatQ5) {
        low |= (fifths & 1) << 4;
        high |= (fifths & 2) << 3;
        fifths >>= 2;
      }
      __builtin_memcpy(out, &low, lineBytes);
      __builtin_memcpy(out + lineBytes, &high, lineBytes);
    }
    if constexpr (format == formatQ5) values += lineBytes;
  }
}

template <uint8_t format>
static void multiplyInTiles(const QuantizedTile& x, const PanelPair& weights, float* __restrict out) {
  const RowTiles tiles(x.rows);
  const int64_t groups = weights.groups, group = weights.group, height = tiles.height;
  const int64_t groupBytes = linesOf(format, group) * lineBytes;
  const int64_t prefetchBytes = weights.prefetch.bytesPerGroup;
  const uint8_t* ahead[2] = {weights.prefetch.first[0], weights.prefetch.first[1]};
  alignas(64) uint8_t unpacked[2][tileBytes];
  alignas(64) int32_t sums[2 * tileSide * panelPair];
  __builtin_memset(out, 0, static_cast<size_t>(x.rows * panelPair) * 4);
  configureTiles(shapesOf(height, group));
  WaitingSums waiting[2] = {};
  const auto addWaiting = [&] {
    for (WaitingSums& each : waiting)
      if (each.rows > 0) addToTotals<format>(each);
  };
  for (int64_t g = 0; g < groups; ++g) {
    for (const uint8_t*& each : ahead)
      for (const uint8_t* end = each + prefetchBytes; each < end; each += lineBytes)
        __builtin_prefetch(each, 0, 2);
    const uint8_t* panels[2];
    for (int side = 0; side < 2; ++side) {
      panels[side] = weights.panels[side].values + g * groupBytes;
      if constexpr (format != formatQ8) {
        unpack<format>(panels[side], group, unpacked[side]);
        panels[side] = unpacked[side];
      }
    }
    loadTile<6>(panels[0], tileRowBytes);
    loadTile<7>(panels[1], tileRowBytes);
    for (int64_t tile = 0; tile < tiles.count; tile += 2) {
      const bool two = tile + 1 < tiles.count;
      const int8_t* rows[2];
      for (int64_t i = 0; i < 2; ++i)
        rows[i] = x.values + (g * x.rows + tiles.start(two ? tile + i : tile)) * group;
      (two ? multiplyGroup<true> : multiplyGroup<false>)(rows, group);
      addWaiting();
      (two ? storeSums<true> : storeSums<false>)(sums, height);
      for (int64_t i = 0; i < 2; ++i) {
        WaitingSums& next = waiting[i];
        next.rows = 0;
        if (i == 1 && !two) break;
        // Rows of the tile before are not added twice.
        const int64_t repeated = tiles.repeated(tile + i), first = (tile + i) * height;
        next = {sums + (i * height + repeated) * panelPair,
                x.scales + g * x.rows + first,
                x.sums + g * x.rows + first,
                out + first * panelPair,
                height - repeated,
                {weights.panels[0].scales + g * 16, weights.panels[1].scales + g * 16},
                {}};
        if constexpr (format != formatQ8)
          for (int side = 0; side < 2; ++side) next.minimums[side] = weights.panels[side].minimums + g * 16;
      }
    }
  }
  addWaiting();
  releaseTiles();
}

static void multiply(const QuantizedTile& x, const PanelPair& weights, float* out) {
  if (x.rows < rowsByGroup) return multiplyInRegisters(x, weights, out);
  weights.format == formatQ8   ? multiplyInTiles<formatQ8>(x, weights, out)
  : weights.format == formatQ5 ? multiplyInTiles<formatQ5>(x, weights, out)
                               : multiplyInTiles<formatQ4>(x, weights, out);
}

constexpr int64_t integerMultiplyAdds = 4 * tileSide * tileSide * tileRowBytes;

/** See QuantizedKernels. */
static int32_t integerLoop(int64_t rounds, int32_t seed) {
  uint8_t operand[tileRowBytes];
  for (int i = 0; i < tileRowBytes; ++i) operand[i] = static_cast<uint8_t>(seed + i);
  return loopOverTiles<int32_t>(rounds, operand, [] {
    multiplyByteTiles<0, 4, 6>();
    multiplyByteTiles<1, 4, 7>();
    multiplyByteTiles<2, 5, 6>();
    multiplyByteTiles<3, 5, 7>();
  });
}
