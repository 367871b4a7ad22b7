// Conversions from weight formats to compute dtypes. Included by kernels.inl only.

template <typename Load>
static inline void convert(Load loadVector, int64_t elementBytes, const void* source, uint8_t computeDtype,
                           int64_t count, float* out) {
  const char* bytes = static_cast<const char*>(source);
  int64_t i = 0;
  for (; i + lanes <= count; i += lanes)
    store(out + i, roundTo(computeDtype, loadVector(bytes + i * elementBytes)));
  if (i < count) {
    char last[lanes * 4] = {};
    __builtin_memcpy(last, bytes + i * elementBytes, static_cast<size_t>((count - i) * elementBytes));
    storeFirst(out + i, roundTo(computeDtype, loadVector(last)), count - i);
  }
}

static void widen(const void* source, uint8_t format, uint8_t computeDtype, int64_t count, float* out) {
  if (format == computeDtype) computeDtype = formatF32;
  if (format == formatBf16) {
    convert([](const char* p) { return bf16ToF32(p); }, 2, source, computeDtype, count, out);
  } else if (format == formatF16) {
    convert([](const char* p) { return f16ToF32(p); }, 2, source, computeDtype, count, out);
  } else {
    convert(
        [](const char* p) {
          F vector;
          __builtin_memcpy(&vector, p, sizeof vector);
          return vector;
        },
        4, source, computeDtype, count, out);
  }
}

static void round(uint8_t computeDtype, int64_t count, float* values) {
  if (computeDtype != formatF32) widen(values, formatF32, computeDtype, count, values);
}

static void narrow(const void* source, uint8_t format, uint8_t to, int64_t count, uint16_t* out) {
  if (format == to) {
    __builtin_memcpy(out, source, static_cast<size_t>(count) * 2);
    return;
  }
  const int64_t elementBytes = format == formatF32 ? 4 : 2;
  const char* bytes = static_cast<const char*>(source);
  const auto narrowed = [format, to](const char* from) {
    const F wide = format == formatF16 ? f16ToF32(from) : format == formatBf16 ? bf16ToF32(from) : load(from);
#ifdef RND1_MULTIPLIES_F16
    if (to == formatF16) return __builtin_bit_cast(H, f32ToF16(wide));
#endif
    (void)to;
    return __builtin_convertvector((U)roundToBf16(wide) >> 16, H);
  };
  int64_t i = 0;
  for (; i + lanes <= count; i += lanes) {
    const H half = narrowed(bytes + i * elementBytes);
    __builtin_memcpy(out + i, &half, sizeof half);
  }
  if (i < count) {
    char last[lanes * 4] = {};
    __builtin_memcpy(last, bytes + i * elementBytes, static_cast<size_t>((count - i) * elementBytes));
    const H half = narrowed(last);
    __builtin_memcpy(out + i, &half, static_cast<size_t>(count - i) * 2);
  }
}
