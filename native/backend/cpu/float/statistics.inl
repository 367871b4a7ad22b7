// Statistics of logits for scores. Included by kernels.inl only.

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
  // Of `vectors` vectors, which are added one after the other.
  const auto add = [&]<int vectors>(const float* from) {
    F difference[vectors], probability[vectors];
#pragma GCC unroll 4
    for (int v = 0; v < vectors; ++v) probability[v] = difference[v] = load(from + v * lanes) - best;
    exponentials(probability);
#pragma GCC unroll 4
    for (int v = 0; v < vectors; ++v) {
      sums += __builtin_convertvector(probability[v], D);
      // 0 · −∞ counts as 0.
      const F product = select(probability[v] == F{}, F{}, probability[v] * difference[v]);
      weighted += __builtin_convertvector(product, D);
    }
  };
  constexpr int64_t step = lanes * exponentialsAtOnce;
  for (i = 0; i + step <= count; i += step) add.template operator()<exponentialsAtOnce>(logits + i);
  for (; i + lanes <= count; i += lanes) add.template operator()<1>(logits + i);
  if (i < count) {
    float last[lanes];
    store(last, splat(-infinity));
    __builtin_memcpy(last, logits + i, static_cast<size_t>(count - i) * 4);
    add.template operator()<1>(last);
  }
  result->sum = sum(sums);
  result->weighted = sum(weighted);
}
