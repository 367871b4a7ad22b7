#pragma once

#include <cuda_runtime.h>

#include <cstdint>

/**
 * Double-f32 arithmetic: about 48 bits by f32 instructions only, since f64 is slow on many GPUs. All
 * operations are intrinsics, because the compiler would otherwise fuse products and sums.
 */
namespace rnd1::cuda {

/** high + low, where |low| is below one unit in the last place of high. */
struct TwoFloats {
  float high = 0, low = 0;

  __device__ double value() const { return static_cast<double>(high) + static_cast<double>(low); }
};

/** The pair nearest to a value in the range of f32. */
__device__ __forceinline__ TwoFloats twoFloats(double value) {
  const auto high = static_cast<float>(value);
  return {high, static_cast<float>(value - static_cast<double>(high))};
}

/** a + b without an error (Knuth's two-sum). */
__device__ __forceinline__ TwoFloats exactSum(float a, float b) {
  const float sum = __fadd_rn(a, b);
  const float added = __fadd_rn(sum, -a);
  return {sum, __fadd_rn(__fadd_rn(a, -__fadd_rn(sum, -added)), __fadd_rn(b, -added))};
}

/** The same where |a| ≥ |b| (Dekker's). */
__device__ __forceinline__ TwoFloats exactSumOfLarger(float a, float b) {
  const float sum = __fadd_rn(a, b);
  return {sum, __fadd_rn(b, -__fadd_rn(sum, -a))};
}

/** a − b without an error; high is ±∞ on overflow. */
__device__ __forceinline__ TwoFloats exactDifference(float a, float b) { return exactSum(a, -b); }

/** Error: about 2⁻⁴⁶ of the larger operand. */
__device__ __forceinline__ TwoFloats plus(TwoFloats a, TwoFloats b) {
  const TwoFloats sum = exactSum(a.high, b.high);
  return exactSumOfLarger(sum.high, __fadd_rn(sum.low, __fadd_rn(a.low, b.low)));
}

/** Relative error: about 2⁻⁴⁶. */
__device__ __forceinline__ TwoFloats times(TwoFloats a, TwoFloats b) {
  const float product = __fmul_rn(a.high, b.high);
  const float rest = __fmaf_rn(a.high, b.high, -product);
  return exactSumOfLarger(product, __fmaf_rn(a.low, b.high, __fmaf_rn(a.high, b.low, rest)));
}

/** Below this argument, exp is less than half of the smallest f32. */
constexpr float vanishing = -104;

/**
 * exp(x) for x ≤ 0, x.high = −∞ included. Relative error 2⁻³⁶, or absolute 2⁻¹⁴⁸ for subnormals. 0 below
 * `vanishing`, never NaN. x = k ln 2 + r with |r| < 0.35, and a polynomial in r.
 */
__device__ __forceinline__ TwoFloats exponential(TwoFloats x) {
  if (!(x.high >= vanishing)) return {};
  const float k = rintf(__fmul_rn(x.high, 0x1.715476p+0f));
  // ln 2 in three pieces. The first has 16 bits, so that what is left of x.high is exact.
  const float left = __fmaf_rn(-k, 0x1.62e4p-1f, x.high);
  const float second = __fmul_rn(-k, 0x1.7f7d1cp-20f);
  const float rest = __fmaf_rn(-k, 0x1.ef357ap-45f, __fmaf_rn(-k, 0x1.7f7d1cp-20f, -second));
  const TwoFloats r = plus({left, x.low}, {second, rest});

  // From r⁵ on, single f32 precision is enough: 1/10! + … + 1/5!.
  float tail = __fmaf_rn(0x1.27e4fcp-22f, r.high, 0x1.71de3ap-19f);
  tail = __fmaf_rn(tail, r.high, 0x1.a01a02p-16f);
  tail = __fmaf_rn(tail, r.high, 0x1.a01a02p-13f);
  tail = __fmaf_rn(tail, r.high, 0x1.6c16c2p-10f);
  tail = __fmaf_rn(tail, r.high, 0x1.111112p-7f);
  const auto next = [&](TwoFloats sum, float high, float low) {
    const TwoFloats product = times(sum, r);  // smaller than the coefficient
    const TwoFloats result = exactSumOfLarger(high, product.high);
    return TwoFloats{result.high, __fadd_rn(result.low, __fadd_rn(product.low, low))};
  };
  TwoFloats sum = next({tail, 0}, 0x1.555556p-5f, -0x1.555556p-30f);
  sum = next(sum, 0x1.555556p-3f, -0x1.555556p-28f);
  sum = next(sum, 0.5f, 0);
  sum = next(sum, 1, 0);
  sum = next(sum, 1, 0);
  sum = exactSumOfLarger(sum.high, sum.low);

  // Times 2ᵏ in two steps, since the result may be denormal.
  const int whole = static_cast<int>(k), half = whole / 2;
  const float first = __uint_as_float(static_cast<uint32_t>(127 + half) << 23);
  const float last = __uint_as_float(static_cast<uint32_t>(127 + whole - half) << 23);
  return {__fmul_rn(__fmul_rn(sum.high, first), last), __fmul_rn(__fmul_rn(sum.low, first), last)};
}

}  // namespace rnd1::cuda
