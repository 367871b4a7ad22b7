// Products of a group of columns, a quad of them at a time. Included by register_products.inl only.

/** sums[r] += products of one quad of columns. */
template <int rows, typename Sums, typename Weights>
static inline void addQuad(Sums (*sums)[vectors], const Weights* weights, const int8_t* x) {
#pragma GCC unroll 16
  for (int r = 0; r < rows; ++r) {
    const Quad quad = loadQuad(x + r * 4);
#pragma GCC unroll 4
    for (int v = 0; v < vectors; ++v) sums[r][v] = dot(sums[r][v], weights[v], quad);
  }
}

/** The same for both quads in a line of nibbles. */
template <int rows, typename Sums>
static inline void addNibbles(Sums (*sums)[vectors], const Line* lines, const int8_t* x) {
  Q4 weights[vectors];
#pragma GCC unroll 4
  for (int v = 0; v < vectors; ++v) weights[v] = lowNibbles(lines[v]);
  addQuad<rows>(sums, weights, x);
#pragma GCC unroll 4
  for (int v = 0; v < vectors; ++v) weights[v] = highNibbles(lines[v]);
  addQuad<rows>(sums, weights, x + rows * 4);
}

/** sums[r] += products of one group of columns. values: a pointer per panel. */
template <uint8_t format, int rows>
static inline void addGroup(I (*sums)[vectors], const uint8_t* const* values, const int8_t* x,
                            int64_t group) {
  const uint8_t* first = values[0];
  const uint8_t* last = values[panelsAtOnce - 1];
  const auto loadLines = [&](int64_t index, Line* lines) {
#pragma GCC unroll 4
    for (int v = 0; v < vectors; ++v)
      lines[v] = loadLine((v < vectorsPerPanel ? first : last) + index * lineBytes +
                          v % vectorsPerPanel * lanes * 4);
  };
  Line lines[vectors];
  if constexpr (format == formatQ8) {
    for (int64_t index = 0; index < group / 4; ++index) {
      Q8 weights[vectors];
      loadLines(index, lines);
#pragma GCC unroll 4
      for (int v = 0; v < vectors; ++v) weights[v] = bytes(lines[v]);
      addQuad<rows>(sums, weights, x + index * rows * 4);
    }
  } else if constexpr (nibblesAddInWords) {
    for (int64_t begin = 0; begin < group / 8; begin += 4) {
      NibbleSums part[rows][vectors] = {};
      for (int64_t index = begin; index < begin + 4; ++index) {
        loadLines(index, lines);
        addNibbles<rows>(part, lines, x + index * rows * 8);
      }
#pragma GCC unroll 16
      for (int r = 0; r < rows; ++r)
#pragma GCC unroll 4
        for (int v = 0; v < vectors; ++v) sums[r][v] = fold(sums[r][v], part[r][v]);
    }
  } else {
    for (int64_t index = 0; index < group / 8; ++index) {
      loadLines(index, lines);
      addNibbles<rows>(sums, lines, x + index * rows * 8);
    }
  }
}
