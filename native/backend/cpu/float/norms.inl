// Norms and additions of rows. Included by kernels.inl only.

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

static void add(const float* x, int64_t count, float* out) {
  for (int64_t i = 0; i < count; ++i) out[i] += x[i];
}

static void addRmsNorm(float* residual, const float* delta, const float* scale, float epsilon, int64_t count,
                       uint8_t computeDtype, float* out) {
  if (delta) add(delta, count, residual);
  const float factor = inverseRms(residual, count, epsilon);
  for (int64_t i = 0; i < count; ++i) out[i] = residual[i] * factor * scale[i];
  round(computeDtype, count, out);
}
