// Products of a group of columns, of two rows and two of a panel's rows at a time. Included by
// register_products.inl only.
//
// Operands hold eight columns of two rows, one row after the other; usmmla adds four sums of eight products:
// {w0 · x0, w0 · x1, w1 · x0, w1 · x1}.

/** Eight columns of four rows of a panel. */
struct RowPairs {
  Q8 low, high;  // rows 0 and 1, 2 and 3
};

/** From two lines: columns 0 to 3, and 4 to 7. */
static inline RowPairs pairRows(Line first, Line second) {
  const uint32x4_t a = vreinterpretq_u32_u8(first), b = vreinterpretq_u32_u8(second);
  return {vreinterpretq_u8_u32(vzip1q_u32(a, b)), vreinterpretq_u8_u32(vzip2q_u32(a, b))};
}

template <uint8_t format>
static inline RowPairs loadRowPairs(const uint8_t* panel, int64_t octet) {
  if constexpr (format == formatQ8) {
    const uint8_t* const lines = panel + octet * 2 * lineBytes;
    return pairRows(loadLine(lines), loadLine(lines + lineBytes));
  } else if constexpr (format == formatQ5) {
    const uint8_t* const lines = panel + octet / 4 * 5 * lineBytes;
    const auto index = static_cast<int>(octet % 4);
    const Line line = loadLine(lines + index * lineBytes), fifths = loadLine(lines + 4 * lineBytes);
    return pairRows(lowFiveBits(line, fifths, index), highFiveBits(line, fifths, index));
  } else {
    const Line line = loadLine(panel + octet * lineBytes);
    return pairRows(lowNibbles(line), highNibbles(line));
  }
}

/** Eight columns of two rows of a tile, or of one row twice; its next quad is `quadBytes` further. */
template <bool two>
static inline int8x16_t loadOctets(const int8_t* x, int64_t quadBytes) {
  typedef int32_t Quads __attribute__((vector_size(8)));
  Quads first, second;
  if constexpr (two) {
    __builtin_memcpy(&first, x, sizeof first);
    __builtin_memcpy(&second, x + quadBytes, sizeof second);
  } else {
    int32_t quads[2];
    __builtin_memcpy(&quads[0], x, 4);
    __builtin_memcpy(&quads[1], x + quadBytes, 4);
    first = Quads{} + quads[0];
    second = Quads{} + quads[1];
  }
  return (int8x16_t)__builtin_shufflevector(first, second, 0, 2, 1, 3);
}

/** sums[r] += products of one group of columns. values: a pointer per panel. */
template <uint8_t format, int rows>
static inline void addGroup(I (*sums)[vectors], const uint8_t* const* values, const int8_t* x,
                            int64_t group) {
  constexpr int pairs = (rows + 1) / 2;
  I products[pairs][2 * vectors] = {};
  for (int64_t octet = 0; octet < group / 8; ++octet) {
    const int8_t* const octets = x + octet * rows * 8;
    int8x16_t activations[pairs];
#pragma GCC unroll 4
    for (int p = 0; p < rows / 2; ++p) activations[p] = loadOctets<true>(octets + p * 8, rows * 4);
    if constexpr (rows % 2) activations[pairs - 1] = loadOctets<false>(octets + (rows - 1) * 4, rows * 4);
#pragma GCC unroll 4
    for (int v = 0; v < vectors; ++v) {
      const RowPairs weights = loadRowPairs<format>(values[0] + v * lanes * 4, octet);
#pragma GCC unroll 4
      for (int p = 0; p < pairs; ++p) {
        products[p][2 * v] = dot(products[p][2 * v], weights.low, activations[p]);
        products[p][2 * v + 1] = dot(products[p][2 * v + 1], weights.high, activations[p]);
      }
    }
  }
#pragma GCC unroll 8
  for (int r = 0; r < rows; ++r)
#pragma GCC unroll 4
    for (int v = 0; v < vectors; ++v) {
      const I low = products[r / 2][2 * v], high = products[r / 2][2 * v + 1];
      sums[r][v] += r % 2 ? __builtin_shufflevector(low, high, 1, 3, 5, 7)
                          : __builtin_shufflevector(low, high, 0, 2, 4, 6);
    }
}
