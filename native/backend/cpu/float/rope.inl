// Rotary embedding of query and key heads, after their norms. Included by kernels.inl only.

static void normRopeHead(const RotatedHead& shape, const float* scale, const float* cosines, float* head) {
  const int64_t half = shape.half;
  const float* sines = cosines + half;
  if (scale) {
    const float factor = inverseRms(head, shape.columns, shape.epsilon);
    for (int64_t i = 0; i < shape.columns; ++i) head[i] = head[i] * factor * scale[i];
  }
  for (int64_t i = 0; i < half; ++i) {
    const float low = head[i], high = head[i + half];
    head[i] = low * cosines[i] - high * sines[i];
    head[i + half] = high * cosines[i] + low * sines[i];
  }
  round(shape.computeDtype, shape.columns, head);
}
