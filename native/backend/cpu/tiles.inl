// The eight tile registers of AMX, each up to 16 rows of 64 bytes. Included by kernel units only, inside
// their namespaces; needs <stdint.h>. With RND1_EMULATES_TILES tiles are plain memory, so that the kernels
// can be tested on every processor.
//
// multiply*Tiles<c, a, b>: c[m][n] += Σ a[m][k] · b[k][n], where b holds the k's that share 32 bits side by
// side.

constexpr int64_t tileSide = 16;  // rows, and 32-bit columns
constexpr int64_t tileRowBytes = 64;
constexpr int64_t tileBytes = tileSide * tileRowBytes;

/** Rows in tiles of equal height, for which one configuration does: the last one overlaps the one before. */
struct RowTiles {
  int64_t count, height, rows;
  explicit RowTiles(int64_t total)
      : count((total + tileSide - 1) / tileSide), height((total + count - 1) / count), rows(total) {}
  int64_t start(int64_t tile) const { return tile * height + height < rows ? tile * height : rows - height; }
  /** Rows of a tile that the one before has too. */
  int64_t repeated(int64_t tile) const { return tile * height - start(tile); }
};

/** The operand of ldtilecfg. */
struct alignas(64) TileShapes {
  uint8_t palette = 1;
  uint8_t startRow = 0;
  uint8_t reserved[14] = {};
  uint16_t rowBytes[16] = {};
  uint8_t rows[16] = {};
};

/** Tiles 0 to 3 for sums of `rows` × `columns`; 4, 5 for left operands of `depth` bytes a row; 6, 7 for right
 * ones. */
static inline TileShapes shapesOf(int64_t rows, int64_t depth, int64_t columns = tileSide) {
  TileShapes shapes;
  for (int t = 0; t < 8; ++t) {
    shapes.rowBytes[t] = static_cast<uint16_t>(t == 4 || t == 5 ? depth : columns * 4);
    shapes.rows[t] = static_cast<uint8_t>(t < 6 ? rows : depth / 4);
  }
  return shapes;
}

#ifdef RND1_EMULATES_TILES

struct EmulatedTile {
  uint8_t bytes[16][64];
};
static thread_local TileShapes emulatedShapes;
static thread_local EmulatedTile emulatedTiles[8];

static inline void configureTiles(const TileShapes& shapes) {
  emulatedShapes = shapes;
  __builtin_memset(emulatedTiles, 0, sizeof emulatedTiles);
}
static inline void releaseTiles() { emulatedShapes.palette = 0; }

template <int t>
static inline void clearTile() {
  __builtin_memset(&emulatedTiles[t], 0, sizeof(EmulatedTile));
}
template <int t>
static inline void loadTile(const void* source, int64_t stride) {
  clearTile<t>();
  for (int64_t r = 0; r < emulatedShapes.rows[t]; ++r)
    __builtin_memcpy(emulatedTiles[t].bytes[r], static_cast<const char*>(source) + r * stride,
                     emulatedShapes.rowBytes[t]);
}
template <int t>
static inline void storeTile(void* destination, int64_t stride) {
  for (int64_t r = 0; r < emulatedShapes.rows[t]; ++r)
    __builtin_memcpy(static_cast<char*>(destination) + r * stride, emulatedTiles[t].bytes[r],
                     emulatedShapes.rowBytes[t]);
}

/** Of a bf16, whose products are exact in f32. */
static inline float valueOf(uint16_t bits) {
  const uint32_t wide = static_cast<uint32_t>(bits) << 16;
  float value;
  __builtin_memcpy(&value, &wide, 4);
  return value;
}
static inline int32_t valueOf(int8_t byte) { return byte; }
static inline int32_t valueOf(uint8_t byte) { return byte; }

/** c[m][n] += Σ over i of a[m][k][i] · b[k][n][i] for all k in order: elements of A and B that share 32 bits.
 */
template <typename Sum, typename A, typename B, int c, int a, int b>
static inline void emulateProduct() {
  constexpr int64_t each = 4 / sizeof(A);
  for (int64_t m = 0; m < emulatedShapes.rows[c]; ++m) {
    Sum sums[tileSide];
    A left[tileRowBytes / sizeof(A)];
    __builtin_memcpy(sums, emulatedTiles[c].bytes[m], tileRowBytes);
    __builtin_memcpy(left, emulatedTiles[a].bytes[m], tileRowBytes);
    for (int64_t k = 0; k < emulatedShapes.rows[b]; ++k) {
      B right[tileRowBytes / sizeof(B)];
      __builtin_memcpy(right, emulatedTiles[b].bytes[k], tileRowBytes);
      for (int64_t i = 0; i < each; ++i) {
        const Sum factor = valueOf(left[k * each + i]);
        for (int64_t n = 0; n < tileSide; ++n) sums[n] += factor * valueOf(right[n * each + i]);
      }
    }
    __builtin_memcpy(emulatedTiles[c].bytes[m], sums, tileRowBytes);
  }
}

template <int c, int a, int b>
static inline void multiplyBf16Tiles() {
  emulateProduct<float, uint16_t, uint16_t, c, a, b>();
}
template <int c, int a, int b>
static inline void multiplyByteTiles() {
  emulateProduct<int32_t, int8_t, uint8_t, c, a, b>();
}

#else

static inline void configureTiles(const TileShapes& shapes) {
  __asm__ volatile("ldtilecfg %0" : : "m"(shapes));
}
static inline void releaseTiles() { __asm__ volatile("tilerelease" : : : "memory"); }

template <int t>
static inline void clearTile() {
  __asm__ volatile("tilezero %%tmm%c0" : : "i"(t));
}
template <int t>
static inline void loadTile(const void* source, int64_t stride) {
  __asm__ volatile("tileloadd (%0,%1,1), %%tmm%c2" : : "r"(source), "r"(stride), "i"(t) : "memory");
}
template <int t>
static inline void storeTile(void* destination, int64_t stride) {
  __asm__ volatile("tilestored %%tmm%c2, (%0,%1,1)" : : "r"(destination), "r"(stride), "i"(t) : "memory");
}

/** Two products of bf16 to each sum of f32, one after the other. */
template <int c, int a, int b>
static inline void multiplyBf16Tiles() {
  __asm__ volatile("tdpbf16ps %%tmm%c2, %%tmm%c1, %%tmm%c0" : : "i"(c), "i"(a), "i"(b));
}
/** Four products of a signed and an unsigned byte to each sum of int32. */
template <int c, int a, int b>
static inline void multiplyByteTiles() {
  __asm__ volatile("tdpbsud %%tmm%c2, %%tmm%c1, %%tmm%c0" : : "i"(c), "i"(a), "i"(b));
}

#endif

/** products() of whole tiles that hold the 64 bytes of `operand` in every row, `rounds` times; the first sum
 * of tile 0. */
template <typename Sum, typename Products>
static inline Sum loopOverTiles(int64_t rounds, const void* operand, Products products) {
  configureTiles(shapesOf(tileSide, tileRowBytes));
  clearTile<0>();
  clearTile<1>();
  clearTile<2>();
  clearTile<3>();
  loadTile<4>(operand, 0);
  loadTile<5>(operand, 0);
  loadTile<6>(operand, 0);
  loadTile<7>(operand, 0);
  for (int64_t round = 0; round < rounds; ++round) products();
  Sum sums[tileSide * tileSide];
  storeTile<0>(sums, tileRowBytes);
  releaseTiles();
  return sums[0];
}
