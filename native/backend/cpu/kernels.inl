// The kernels, compiled once per instruction set. The including unit defines RND1_ISA (a namespace of its
// own), RND1_LANES and RND1_TILE_ROWS, and includes the intrinsics it needs. Everything here is static.

namespace rnd1::cpu::RND1_ISA {
namespace {

#include "backend/cpu/vector.inl"

// --- Conversions
// ----------------------------------------------------------------------------------------------

template <typename Load>
static inline void convert(Load loadVector, int64_t elementBytes, const void* source, uint8_t arithmetic,
                           int64_t count, float* out) {
  const char* bytes = static_cast<const char*>(source);
  int64_t i = 0;
  for (; i + lanes <= count; i += lanes)
    store(out + i, roundTo(arithmetic, loadVector(bytes + i * elementBytes)));
  if (i < count) {
    char last[lanes * 4] = {};
    __builtin_memcpy(last, bytes + i * elementBytes, static_cast<size_t>((count - i) * elementBytes));
    storeFirst(out + i, roundTo(arithmetic, loadVector(last)), count - i);
  }
}

static void widen(const void* source, uint8_t format, uint8_t arithmetic, int64_t count, float* out) {
  if (format == arithmetic) arithmetic = formatF32;
  if (format == formatBf16) {
    convert([](const char* p) { return bf16ToF32(p); }, 2, source, arithmetic, count, out);
  } else if (format == formatF16) {
    convert([](const char* p) { return f16ToF32(p); }, 2, source, arithmetic, count, out);
  } else {
    convert(
        [](const char* p) {
          F vector;
          __builtin_memcpy(&vector, p, sizeof vector);
          return vector;
        },
        4, source, arithmetic, count, out);
  }
}

static void round(uint8_t arithmetic, int64_t count, float* values) {
  if (arithmetic != formatF32) widen(values, formatF32, arithmetic, count, values);
}

// --- Products
// -------------------------------------------------------------------------------------------------

/** result[r][c] = x[r] · weights[c]: each sum runs along `inner` in lanes, then pairwise across them. */
template <int rows, int columns>
static inline void dotTile(const float* const* x, const float* weights, int64_t weightStride, int64_t inner,
                           float (*result)[4]) {
  F sums[rows][columns] = {};
  int64_t k = 0;
  for (; k + lanes <= inner; k += lanes) {
    F vectors[rows];
#pragma GCC unroll 8
    for (int r = 0; r < rows; ++r) vectors[r] = load(x[r] + k);
#pragma GCC unroll 8
    for (int c = 0; c < columns; ++c) {
      const F weight = load(weights + c * weightStride + k);
#pragma GCC unroll 8
      for (int r = 0; r < rows; ++r) sums[r][c] = multiplyAdd(vectors[r], weight, sums[r][c]);
    }
  }
  if (k < inner) {
    F vectors[rows];
    for (int r = 0; r < rows; ++r) vectors[r] = loadFirst(x[r] + k, inner - k);
    for (int c = 0; c < columns; ++c) {
      const F weight = loadFirst(weights + c * weightStride + k, inner - k);
      for (int r = 0; r < rows; ++r) sums[r][c] = multiplyAdd(vectors[r], weight, sums[r][c]);
    }
  }
  for (int r = 0; r < rows; ++r)
    for (int c = 0; c < columns; ++c) result[r][c] = sum(sums[r][c]);
}

/** All columns for `rows` rows of x; emit(r, c, value). */
template <int rows, typename Emit>
static inline void dotRows(const float* const* x, const float* weights, int64_t weightStride, int64_t columns,
                           int64_t inner, Emit emit) {
  float result[rows][4];
  for (int64_t c = 0; c < columns; c += 4) {
    const float* first = weights + c * weightStride;
    const int64_t width = columns - c < 4 ? columns - c : 4;
    switch (width) {
      case 4:
        dotTile<rows, 4>(x, first, weightStride, inner, result);
        break;
      case 3:
        dotTile<rows, 3>(x, first, weightStride, inner, result);
        break;
      case 2:
        dotTile<rows, 2>(x, first, weightStride, inner, result);
        break;
      default:
        dotTile<rows, 1>(x, first, weightStride, inner, result);
        break;
    }
    for (int r = 0; r < rows; ++r)
      for (int64_t i = 0; i < width; ++i) emit(r, c + i, result[r][i]);
  }
}

/** Rows in register tiles of RND1_TILE_ROWS, the rest in smaller ones; row(r) gives a pointer. */
template <typename Row, typename Emit>
static inline void dotAll(Row row, int64_t rows, const float* weights, int64_t weightStride, int64_t columns,
                          int64_t inner, Emit emit) {
  int64_t r = 0;
  const auto tile = [&]<int count>() {
    const float* pointers[count];
    for (int i = 0; i < count; ++i) pointers[i] = row(r + i);
    dotRows<count>(pointers, weights, weightStride, columns, inner,
                   [&](int i, int64_t c, float value) { emit(r + i, c, value); });
    r += count;
  };
  while (r + RND1_TILE_ROWS <= rows) tile.template operator()<RND1_TILE_ROWS>();
  while (r + 2 <= rows) tile.template operator()<2>();
  if (r < rows) tile.template operator()<1>();
}

static void dotBlock(const RowSource& x, int64_t rows, const float* weights, int64_t weightStride,
                     int64_t columns, int64_t inner, float* out, int64_t outStride) {
  const auto row = [&](int64_t r) { return x.data + (x.index ? x.index[r] / x.divisor : r) * x.stride; };
  dotAll(row, rows, weights, weightStride, columns, inner,
         [&](int64_t r, int64_t c, float value) { out[r * outStride + c] = value; });
}

static void dotBlockAccumulate(const float* x, int64_t xStride, const int32_t* slots, int64_t divisor,
                               const float* scale, int64_t rows, const float* weights, int64_t weightStride,
                               int64_t columns, int64_t inner, float* out, int64_t outStride) {
  dotAll([&](int64_t r) { return x + slots[r] * xStride; }, rows, weights, weightStride, columns, inner,
         [&](int64_t r, int64_t c, float value) {
           const int64_t slot = slots[r];
           const float product = scale[slot] * value;
           out[slot / divisor * outStride + c] += product;
         });
}

static void swiglu(float* gate, const float* up, int64_t count, uint8_t arithmetic) {
  const auto activate = [&](F g, F u) { return roundTo(arithmetic, g / (exponential(-g) + 1.0f) * u); };
  int64_t i = 0;
  for (; i + lanes <= count; i += lanes) store(gate + i, activate(load(gate + i), load(up + i)));
  if (i < count)
    storeFirst(gate + i, activate(loadFirst(gate + i, count - i), loadFirst(up + i, count - i)), count - i);
}

// --- Norms
// ----------------------------------------------------------------------------------------------------

static inline float sumOfSquares(const float* values, int64_t count) {
  F sums = {};
  int64_t i = 0;
  for (; i + lanes <= count; i += lanes) sums = multiplyAdd(load(values + i), load(values + i), sums);
  if (i < count) {
    const F last = loadFirst(values + i, count - i);
    sums = multiplyAdd(last, last, sums);
  }
  return sum(sums);
}

static inline float inverseRms(const float* values, int64_t count, float epsilon) {
  return 1.0f / __builtin_sqrtf(sumOfSquares(values, count) / static_cast<float>(count) + epsilon);
}

static void addRmsNorm(float* residual, const float* delta, const float* scale, float epsilon, int64_t count,
                       uint8_t arithmetic, float* out) {
  if (delta)
    for (int64_t i = 0; i < count; ++i) residual[i] += delta[i];
  const float factor = inverseRms(residual, count, epsilon);
  for (int64_t i = 0; i < count; ++i) out[i] = residual[i] * factor * scale[i];
  round(arithmetic, count, out);
}

static void normRopeHead(float* head, const float* scale, float epsilon, const float* cosines,
                         const float* sines, int64_t half, uint8_t arithmetic) {
  const float factor = inverseRms(head, 2 * half, epsilon);
  for (int64_t i = 0; i < half; ++i) {
    const float low = head[i] * factor * scale[i];
    const float high = head[i + half] * factor * scale[i + half];
    head[i] = low * cosines[i] - high * sines[i];
    head[i + half] = high * cosines[i] + low * sines[i];
  }
  round(arithmetic, 2 * half, head);
}

// --- Attention
// ------------------------------------------------------------------------------------------------

/** sums[q][d] += Σ_j probability[q][j] · value[j][d], for `rows` queries and vectors · lanes (or `tail`)
 * columns. */
template <int rows, int vectors, bool partial>
static inline void weightedValues(const float* probability, const float* value, int64_t valueStride,
                                  int64_t keys, float* sums, int64_t sumStride, int64_t tail) {
  F total[rows][vectors];
  for (int q = 0; q < rows; ++q)
    for (int v = 0; v < vectors; ++v) total[q][v] = load(sums + q * sumStride + v * lanes);
  for (int64_t j = 0; j < keys; ++j) {
    F columns[vectors];
    for (int v = 0; v < vectors; ++v)
      columns[v] =
          partial ? loadFirst(value + j * valueStride, tail) : load(value + j * valueStride + v * lanes);
#pragma GCC unroll 8
    for (int q = 0; q < rows; ++q) {
      const F factor = splat(probability[q * keyBlock + j]);
#pragma GCC unroll 8
      for (int v = 0; v < vectors; ++v) total[q][v] = multiplyAdd(factor, columns[v], total[q][v]);
    }
  }
  for (int q = 0; q < rows; ++q)
    for (int v = 0; v < vectors; ++v) store(sums + q * sumStride + v * lanes, total[q][v]);
}

template <int rows>
static inline void weightedValuesAll(const float* probability, const float* value, int64_t valueStride,
                                     int64_t keys, int64_t headDim, float* sums, int64_t sumStride) {
  int64_t d = 0;
  for (; d + 2 * lanes <= headDim; d += 2 * lanes)
    weightedValues<rows, 2, false>(probability, value + d, valueStride, keys, sums + d, sumStride, 0);
  for (; d + lanes <= headDim; d += lanes)
    weightedValues<rows, 1, false>(probability, value + d, valueStride, keys, sums + d, sumStride, 0);
  if (d < headDim)
    weightedValues<rows, 1, true>(probability, value + d, valueStride, keys, sums + d, sumStride,
                                  headDim - d);
}

static void attentionBlock(const float* query, int64_t queryStride, int64_t queries, const float* key,
                           const float* value, int64_t keyStride, int64_t valueStride, int64_t keys,
                           int64_t headDim, float scale, uint8_t arithmetic, float* scratch, float* out,
                           int64_t outStride, float* logSumExp, int64_t logSumExpStride) {
  const int64_t sumStride = (headDim + 15) / 16 * 16;
  float* scores = scratch;                        // (queryBlock, keyBlock)
  float* sums = scores + queryBlock * keyBlock;   // (queryBlock, sumStride)
  float* maxima = sums + queryBlock * sumStride;  // (queryBlock)
  float* totals = maxima + queryBlock;            // (queryBlock)
  for (int64_t q = 0; q < queries; ++q) {
    maxima[q] = -__builtin_inff();
    totals[q] = 0;
  }
  __builtin_memset(sums, 0, static_cast<size_t>(queryBlock * sumStride) * 4);

  for (int64_t first = 0; first < keys; first += keyBlock) {
    const int64_t count = keys - first < keyBlock ? keys - first : keyBlock;
    const int64_t padded = (count + lanes - 1) / lanes * lanes;
    dotAll([&](int64_t q) { return query + q * queryStride; }, queries, key + first * keyStride, keyStride,
           count, headDim,
           [&](int64_t q, int64_t j, float product) { scores[q * keyBlock + j] = product * scale; });
    for (int64_t q = 0; q < queries; ++q) {
      float* row = scores + q * keyBlock;
      for (int64_t j = count; j < padded; ++j) row[j] = -__builtin_inff();
      F best = splat(maxima[q]);
      for (int64_t j = 0; j < padded; j += lanes) best = maximum(load(row + j), best);
      const float newMaximum = largest(best);
      F total = {};
      for (int64_t j = 0; j < padded; j += lanes) {
        const F probability = exponential(load(row + j) - newMaximum);
        total += probability;
        store(row + j, roundTo(arithmetic, probability));
      }
      // The first block has nothing to rescale, and −∞ − −∞ would be NaN.
      const float correction = first == 0 ? 0.0f : __builtin_expf(maxima[q] - newMaximum);
      totals[q] = totals[q] * correction + sum(total);
      maxima[q] = newMaximum;
      for (int64_t d = 0; d < sumStride; d += lanes)
        store(sums + q * sumStride + d, load(sums + q * sumStride + d) * correction);
    }
    int64_t q = 0;
    const float* values = value + first * valueStride;
    for (; q + 4 <= queries; q += 4)
      weightedValuesAll<4>(scores + q * keyBlock, values, valueStride, count, headDim, sums + q * sumStride,
                           sumStride);
    for (; q < queries; ++q)
      weightedValuesAll<1>(scores + q * keyBlock, values, valueStride, count, headDim, sums + q * sumStride,
                           sumStride);
  }
  for (int64_t q = 0; q < queries; ++q) {
    const float factor = 1.0f / totals[q];
    for (int64_t d = 0; d < headDim; ++d) out[q * outStride + d] = sums[q * sumStride + d] * factor;
    round(arithmetic, headDim, out + q * outStride);
    if (logSumExp) logSumExp[q * logSumExpStride] = maxima[q] + __builtin_logf(totals[q]);
  }
}

// --- Scores
// ---------------------------------------------------------------------------------------------------

static void statistics(float* logits, int64_t count, float temperature, RowStatistics* result) {
  const float infinity = __builtin_inff();
  const F divisor = splat(temperature);
  F first = splat(-infinity), second = first;
  I bad = {}, minusInfinities = {};
  const auto look = [&](F z) {
    bad |= (z != z) | (z == splat(infinity));
    minusInfinities -= z == splat(-infinity);
    second = maximum(second, minimum(first, z));
    first = maximum(first, z);
  };
  int64_t i = 0;
  for (; i + lanes <= count; i += lanes) {
    F z = load(logits + i);
    if (temperature != 1.0f) store(logits + i, z = z / divisor);
    look(z);
  }
  int64_t excess = 0;
  if (i < count) {
    F z = splat(-infinity);
    __builtin_memcpy(&z, logits + i, static_cast<size_t>(count - i) * 4);
    if (temperature != 1.0f) storeFirst(logits + i, z = z / divisor, count - i);
    look(z);
    excess = lanes - (count - i);
  }
  float firsts[lanes], seconds[lanes];
  int32_t counts[lanes];
  store(firsts, first);
  store(seconds, second);
  __builtin_memcpy(counts, &minusInfinities, sizeof counts);
  float best = -infinity, next = -infinity;
  int64_t minus = -excess;
  for (int64_t lane = 0; lane < lanes; ++lane) {
    minus += counts[lane];
    // A lane's second is never above its first.
    if (firsts[lane] > best) {
      next = seconds[lane] > best ? seconds[lane] : best;
      best = firsts[lane];
    } else if (firsts[lane] > next) {
      next = firsts[lane];
    }
  }
  result->maximum = best;
  result->second = next;
  result->minusInfinities = minus;
  result->notFinite = any(bad);
  result->argmax = 0;
  result->sum = 0;
  result->weighted = 0;
  if (result->notFinite || best == -infinity) return;
  while (logits[result->argmax] != best) ++result->argmax;

  D sums = {}, weighted = {};
  const auto add = [&](F z) {
    const F difference = z - best;
    const F probability = exponential(difference);
    sums += __builtin_convertvector(probability, D);
    // 0 · −∞ counts as 0.
    const F product = select(probability == F{}, F{}, probability * difference);
    weighted += __builtin_convertvector(product, D);
  };
  for (i = 0; i + lanes <= count; i += lanes) add(load(logits + i));
  if (i < count) {
    F z = splat(-infinity);
    __builtin_memcpy(&z, logits + i, static_cast<size_t>(count - i) * 4);
    add(z);
  }
  result->sum = sum(sums);
  result->weighted = sum(weighted);
}

// --- The limit
// ------------------------------------------------------------------------------------------------

// Two units with a latency of four to five need ten sums; SSE2 and AVX2 have 16 registers for all.
constexpr int64_t independentSums = 12;

static float multiplyAddLoop(int64_t rounds, float factor, float addend) {
  F sums[independentSums];
#pragma GCC unroll 12
  for (int64_t i = 0; i < independentSums; ++i) sums[i] = splat(static_cast<float>(i));
  const F factors = splat(factor), addends = splat(addend);
  for (int64_t round = 0; round < rounds; ++round) {
#pragma GCC unroll 12
    for (int64_t i = 0; i < independentSums; ++i) sums[i] = multiplyAdd(sums[i], factors, addends);
  }
  F total = {};
#pragma GCC unroll 12
  for (int64_t i = 0; i < independentSums; ++i) total += sums[i];
  return sum(total);
}

constexpr Kernels table = {
    RND1_ISA_NAME, widen,        round,          dotBlock,   dotBlockAccumulate, swiglu,
    addRmsNorm,    normRopeHead, attentionBlock, statistics, multiplyAddLoop,    independentSums* lanes,
};

}  // namespace
}  // namespace rnd1::cpu::RND1_ISA
