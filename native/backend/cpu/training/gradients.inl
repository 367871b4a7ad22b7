// Gradients of norms, rotary embedding, SwiGLU, softmax. Included by kernels.inl only.

static float dot(const float* a, const float* b, int64_t count) {
  F sums = {};
  int64_t i = 0;
  for (; i + lanes <= count; i += lanes) sums = multiplyAdd(load(a + i), load(b + i), sums);
  if (i < count) sums = multiplyAdd(loadFirst(a + i, count - i), loadFirst(b + i, count - i), sums);
  return sum(sums);
}

/** Σ a ∘ b ∘ c. */
static inline float dotOfThree(const float* a, const float* b, const float* c, int64_t count) {
  F sums = {};
  int64_t i = 0;
  for (; i + lanes <= count; i += lanes) sums = multiplyAdd(load(a + i) * load(b + i), load(c + i), sums);
  if (i < count) {
    const int64_t left = count - i;
    sums = multiplyAdd(loadFirst(a + i, left) * loadFirst(b + i, left), loadFirst(c + i, left), sums);
  }
  return sum(sums);
}

static void normBackward(const float* residual, const float* scale, float epsilon, const float* dout,
                         int64_t count, float* __restrict dresidual, float* __restrict scaleGradient) {
  const float factor = inverseRms(residual, count, epsilon);
  const float mean = dotOfThree(dout, scale, residual, count) * factor / static_cast<float>(count);
  for (int64_t i = 0; i < count; ++i)
    dresidual[i] += factor * (dout[i] * scale[i] - residual[i] * factor * mean);
  if (scaleGradient)
    for (int64_t i = 0; i < count; ++i) scaleGradient[i] += dout[i] * (residual[i] * factor);
}

static void headBackward(const HeadGradient& head) {
  float* __restrict gradient = head.gradient;
  const float* cosines = head.cosines;
  const float* sines = cosines + head.half;
  const int64_t half = head.half;
  for (int64_t i = 0; i < half; ++i) {
    const float low = gradient[i], high = gradient[half + i];
    gradient[i] = low * cosines[i] + high * sines[i];
    gradient[half + i] = high * cosines[i] - low * sines[i];
  }
  if (!head.scale) return;
  const int64_t count = head.columns;
  const float factor = inverseRms(head.before, count, head.epsilon);
  const float mean =
      dotOfThree(gradient, head.scale, head.before, count) * factor / static_cast<float>(count);
  if (head.scaleGradient)
    for (int64_t i = 0; i < count; ++i) head.scaleGradient[i] += gradient[i] * (head.before[i] * factor);
  for (int64_t i = 0; i < count; ++i)
    gradient[i] = factor * (gradient[i] * head.scale[i] - head.before[i] * factor * mean);
}

static void swiglu(float weight, const float* gate, const float* up, int64_t count, float* out) {
  const auto turn = [&](F g, F u) { return g / (exponential(-g) + 1.0f) * u * weight; };
  int64_t i = 0;
  for (; i + lanes <= count; i += lanes) store(out + i, turn(load(gate + i), load(up + i)));
  if (i < count) {
    const int64_t left = count - i;
    storeFirst(out + i, turn(loadFirst(gate + i, left), loadFirst(up + i, left)), left);
  }
}

static float swigluBackward(float weight, float* gate, float* up, float* gradient, int64_t count) {
  F total = {};
  const auto turn = [&](F a, F u, F g, F& da, F& du, F& weighted) {
    const F sigmoid = 1.0f / (exponential(-a) + 1.0f);
    const F silu = a * sigmoid, h = silu * u;
    total = multiplyAdd(g, h, total);
    const F dh = g * weight;
    du = dh * silu;
    da = dh * u * (sigmoid * (a * (1.0f - sigmoid) + 1.0f));
    weighted = h * weight;
  };
  int64_t i = 0;
  F da, du, weighted;
  for (; i + lanes <= count; i += lanes) {
    turn(load(gate + i), load(up + i), load(gradient + i), da, du, weighted);
    store(gate + i, da);
    store(up + i, du);
    store(gradient + i, weighted);
  }
  if (i < count) {
    const int64_t left = count - i;
    turn(loadFirst(gate + i, left), loadFirst(up + i, left), loadFirst(gradient + i, left), da, du, weighted);
    storeFirst(gate + i, da, left);
    storeFirst(up + i, du, left);
    storeFirst(gradient + i, weighted, left);
  }
  return sum(total);
}

static void attentionGradient(const AttentionGradientRow& row) {
  int64_t j = 0;
  const auto turn = [&](F score, F gradient, F& probability, F& out) {
    probability = exponential(score * row.scale - row.logSumExp);
    out = probability * (gradient - row.rowDot) * row.scale;
  };
  F probability, gradient;
  for (; j + lanes <= row.visible; j += lanes) {
    turn(load(row.scores + j), load(row.gradients + j), probability, gradient);
    store(row.scores + j, probability);
    store(row.gradients + j, gradient);
  }
  if (j < row.visible) {
    const int64_t left = row.visible - j;
    turn(loadFirst(row.scores + j, left), loadFirst(row.gradients + j, left), probability, gradient);
    storeFirst(row.scores + j, probability, left);
    storeFirst(row.gradients + j, gradient, left);
    j += left;
  }
  for (; j < row.count; ++j) row.scores[j] = row.gradients[j] = 0;
}

static void exponentialSum(const float* values, int64_t count, float* largestValue, double* total) {
  F best = splat(-__builtin_inff());
  int64_t i = 0;
  for (; i + lanes <= count; i += lanes) best = maximum(load(values + i), best);
  float most = largest(best);
  for (int64_t rest = i; rest < count; ++rest)
    if (values[rest] > most) most = values[rest];
  D sums = {};
  for (int64_t first = 0; first + lanes <= count; first += lanes)
    sums += __builtin_convertvector(exponential(load(values + first) - most), D);
  if (i < count) {
    F last = splat(-__builtin_inff());
    __builtin_memcpy(&last, values + i, static_cast<size_t>(count - i) * 4);
    sums += __builtin_convertvector(exponential(last - most), D);
  }
  *largestValue = most;
  *total = sum(sums);
}

static void scaledExponentials(float* values, int64_t count, float largestValue, float factor) {
  int64_t i = 0;
  for (; i + lanes <= count; i += lanes)
    store(values + i, exponential(load(values + i) - largestValue) * factor);
  if (i < count)
    storeFirst(values + i, exponential(loadFirst(values + i, count - i) - largestValue) * factor, count - i);
}

static void adamw(const AdamRates& given, int64_t count, const float* __restrict gradient,
                  float* __restrict value, float* __restrict first, float* __restrict second) {
  const AdamRates rates = given;
  for (int64_t i = 0; i < count; ++i) {
    const float g = gradient[i] * rates.gradientScale;
    const float m = rates.beta1 * first[i] + (1.0f - rates.beta1) * g;
    const float v = rates.beta2 * second[i] + (1.0f - rates.beta2) * (g * g);
    first[i] = m;
    second[i] = v;
    value[i] =
        value[i] * rates.keep - rates.step * (m / (__builtin_sqrtf(v) * rates.correction + rates.epsilon));
  }
}

static double squaredNorm(const float* values, int64_t count) {
  D sums = {};
  int64_t i = 0;
  const auto add = [&](F value) {
    const D wide = __builtin_convertvector(value, D);
    sums += wide * wide;
  };
  for (; i + lanes <= count; i += lanes) add(load(values + i));
  if (i < count) add(loadFirst(values + i, count - i));
  return sum(sums);
}

constexpr TrainingKernels trainingTable = {
    product, transposeRows,     normBackward,   headBackward,       swiglu, swigluBackward,
    dot,     attentionGradient, exponentialSum, scaledExponentials, adamw,  squaredNorm,
};
