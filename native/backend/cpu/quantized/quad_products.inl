// Products of a group of columns, a quad of them at a time. Included by register_products.inl only.

/** sums[r] += products of one quad of columns. */
template <int rows, typename Sums, typename Weights>
static inline void addQuad(Sums (*sums)[vectors], const Weights* weights, const int8_t* x) {
#pragma GCC unroll 16
  for (int r = 0; r < rows; ++r) {
    const Quad quad = loadQuad(x + r * 4);
#pragma GCC unroll 4
    for (int v = 0; v < vectors; ++v) {
      sums[r][v] = dot(sums[r][v], weights[v], quad);
      stayInOrder(sums[r][v]);
    }
  }
}

/** The same for both quads in a line of nibbles. */
template <int rows, typename Sums>
static inline void addNibbles(Sums (*sums)[vectors], const Line* lines, const int8_t* x) {
  Q4 weights[vectors];
#pragma GCC unroll 4
  for (int v = 0; v < vectors; ++v) weights[v] = smallIntegers(lowNibbles(lines[v]));
  addQuad<rows>(sums, weights, x);
#pragma GCC unroll 4
  for (int v = 0; v < vectors; ++v) weights[v] = smallIntegers(highNibbles(lines[v]));
  addQuad<rows>(sums, weights, x + rows * 4);
}

/** The same for line `index` of the four of 32 columns, whose fifth bits are in other lines. */
template <int rows, typename Sums>
static inline void addFiveBits(Sums (*sums)[vectors], const Line* lines, const Line* fifths, int index,
                               const int8_t* x) {
  Q4 weights[vectors];
#pragma GCC unroll 4
  for (int v = 0; v < vectors; ++v) weights[v] = lowFiveBits(lines[v], fifths[v], index);
  addQuad<rows>(sums, weights, x);
#pragma GCC unroll 4
  for (int v = 0; v < vectors; ++v) weights[v] = highFiveBits(lines[v], fifths[v], index);
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
  // Sums of a few lines that are narrower than those of the group.
  const auto addParts = [&](auto add) {
    NibbleSums part[rows][vectors] = {};
    add(part);
#pragma GCC unroll 16
    for (int r = 0; r < rows; ++r)
#pragma GCC unroll 4
      for (int v = 0; v < vectors; ++v) sums[r][v] = fold(sums[r][v], part[r][v]);
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
  } else if constexpr (format == formatQ5) {
    for (int64_t block = 0; block < group / 32; ++block) {
      const auto addLines = [&](auto& target, int begin, int end) {
        Line fifths[vectors];
        loadLines(block * 5 + 4, fifths);
#pragma GCC unroll 4
        for (int index = begin; index < end; ++index) {
          loadLines(block * 5 + index, lines);
          addFiveBits<rows>(target, lines, fifths, index, x + (block * 4 + index) * rows * 8);
        }
      };
      if constexpr (nibblesAddInWords) {
        addParts([&](auto& part) { addLines(part, 0, 2); });
        addParts([&](auto& part) { addLines(part, 2, 4); });
      } else {
        addLines(sums, 0, 4);
      }
    }
  } else if constexpr (nibblesAddInWords) {
    for (int64_t begin = 0; begin < group / 8; begin += 4)
      addParts([&](auto& part) {
        for (int64_t index = begin; index < begin + 4; ++index) {
          loadLines(index, lines);
          addNibbles<rows>(part, lines, x + index * rows * 8);
        }
      });
  } else {
    for (int64_t index = 0; index < group / 8; ++index) {
      loadLines(index, lines);
      addNibbles<rows>(sums, lines, x + index * rows * 8);
    }
  }
}
