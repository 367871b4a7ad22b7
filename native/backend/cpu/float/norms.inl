// Norms and rotary embedding. Included by kernels.inl only.

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
                       uint8_t computeDtype, float* out) {
  if (delta)
    for (int64_t i = 0; i < count; ++i) residual[i] += delta[i];
  const float factor = inverseRms(residual, count, epsilon);
  for (int64_t i = 0; i < count; ++i) out[i] = residual[i] * factor * scale[i];
  round(computeDtype, count, out);
}

static void normRopeHead(float* head, const float* scale, float epsilon, const float* cosines,
                         const float* sines, int64_t half, uint8_t computeDtype) {
  const float factor = inverseRms(head, 2 * half, epsilon);
  for (int64_t i = 0; i < half; ++i) {
    const float low = head[i] * factor * scale[i];
    const float high = head[i + half] * factor * scale[i + half];
    head[i] = low * cosines[i] - high * sines[i];
    head[i + half] = high * cosines[i] + low * sines[i];
  }
  round(computeDtype, 2 * half, head);
}
