// What every generated kernel builds on: names of types, conversions between them, and the functions that the table of
// scalar functions names but CUDA does not have. No header is needed. Meaning and rounding are those of the CPU's loops
// (kernels/src/function, kernels/src/cast); half-width floats are `float` in registers and 16 bits in memory.
#ifndef BLOCKWISE_PRELUDE
#define BLOCKWISE_PRELUDE
#define FN static __device__ __forceinline__

typedef signed char i8;
typedef short i16;
typedef int i32;
typedef long long i64;
typedef unsigned char u8;
typedef unsigned short u16;
typedef unsigned int u32;
typedef unsigned long long u64;
typedef float f32;
typedef double f64;

// Neighbouring elements that are read or written at once, in accesses of up to 16 bytes.
template <class M, int N>
struct alignas(sizeof(M) * N < 16 ? sizeof(M) * N : 16) Pack {
  M at[N];
};

FN f64 infinity() { return __longlong_as_double(0x7ff0000000000000LL); }
FN f64 not_a_number() { return __longlong_as_double(0x7ff8000000000000LL); }

// ---- half-width floats ----

#ifdef __CUDACC__  // what runs kernels on a CPU brings its own two
FN u16 half_bits(f32 x) {
  u16 bits;
  asm("cvt.rn.f16.f32 %0, %1;" : "=h"(bits) : "f"(x));
  return bits;
}
FN f32 half_value(u16 bits) {
  f32 x;
  asm("cvt.f32.f16 %0, %1;" : "=f"(x) : "h"(bits));
  return x;
}
#endif
FN f32 brain_value(u16 bits) { return __uint_as_float((u32)bits << 16); }
FN u16 brain_bits(f32 x) {
  const u32 bits = __float_as_uint(x);
  if (x != x) return (u16)(bits >> 16 | 0x40);
  return (u16)((bits + 0x7fff + (bits >> 16 & 1)) >> 16);
}
FN f32 round_half(f32 x) { return half_value(half_bits(x)); }
FN f32 round_brain(f32 x) { return brain_value(brain_bits(x)); }
// A float from which rounding to 16 bits gives what rounding the double itself would (rounding to odd).
FN f32 to_odd(f64 x) {
  const u64 dropped = (1ULL << 29) - 1, bits = (u64)__double_as_longlong(x);
  return (f32)__longlong_as_double((i64)((bits & ~dropped) | (bits & dropped ? 1ULL << 29 : 0)));
}

// ---- floats to integers: what does not fit is what x86-64 makes of it ----

template <class F>
FN i32 to_i32(F x) {
  return x >= (F)-2147483648.0 && x < (F)2147483648.0 ? (i32)x : -2147483647 - 1;
}
template <class F>
FN i64 to_i64(F x) {
  return x >= (F)-9223372036854775808.0 && x < (F)9223372036854775808.0 ? (i64)x : -9223372036854775807LL - 1;
}
template <class F>
FN u64 to_u64(F x) {
  const F half = (F)9223372036854775808.0;
  return x >= half ? (u64)to_i64(x - half) ^ (1ULL << 63) : (u64)to_i64(x);
}
template <class T, class F>
FN T to_whole(F x) {
  constexpr bool is_signed = (T)-1 < (T)0;
  if constexpr (sizeof(T) < 4 || (sizeof(T) == 4 && is_signed)) return (T)to_i32(x);
  else if constexpr (sizeof(T) == 4 || is_signed) return (T)to_i64(x);
  else return (T)to_u64(x);
}

// ---- functions of integers ----

template <class T>
FN T floor_quotient(T a, T b) {
  if (b == 0) return 0;
  if (b == -1) return (T)(0ULL - (u64)a);
  const T quotient = a / b;
  return (T)(quotient - (a % b != 0 && (a < 0) != (b < 0)));
}
template <class T>
FN T floor_rest(T a, T b) {
  if (b == 0 || b == -1) return 0;
  const T rest = a % b;
  return rest != 0 && (rest < 0) != (b < 0) ? (T)(rest + b) : rest;
}
template <class B, class E>
FN B whole_power(B base, E exponent) {
  B result = 1;
  while (exponent != 0) {
    if (exponent & 1) result *= base;
    base *= base;
    exponent = (E)(exponent >> 1);
  }
  return result;
}
template <class T, class W>
FN T signed_power(T a, T b) {
  if (b >= 0) return (T)whole_power((W)a, (W)b);
  if (a == 1) return 1;
  return a == -1 ? (b % 2 == 0 ? (T)1 : (T)-1) : (T)0;
}
FN int order(i64 a, u64 b) { return a < 0 || (u64)a < b ? -1 : (u64)a > b; }
FN int order(u64 a, i64 b) { return -order(b, a); }

// ---- functions of floats ----

// Floored quotient and the remainder with the divisor's sign, exact as Python's divmod.
template <class F>
FN F floored(F a, F b, F &rest) {
  rest = fmod(a, b);
  if (b == 0) return a / b;
  F quotient = (a - rest) / b;
  if (rest == 0) {
    rest = copysign((F)0, b);
  } else if ((b < 0) != (rest < 0)) {
    rest += b;
    quotient -= 1;
  }
  if (quotient == 0) return copysign((F)0, a / b);
  const F below = floor(quotient);
  return quotient - below > (F)0.5 ? below + 1 : below;
}
FN f32 floor_quotient(f32 a, f32 b) { f32 rest; return floored(a, b, rest); }
FN f64 floor_quotient(f64 a, f64 b) { f64 rest; return floored(a, b, rest); }
FN f32 floor_rest(f32 a, f32 b) { f32 rest; floored(a, b, rest); return rest; }
FN f64 floor_rest(f64 a, f64 b) { f64 rest; floored(a, b, rest); return rest; }
template <class F>
FN F log_add_exp(F a, F b) {
  if (a == b) return a + (F)0.69314718055994530942;
  const F apart = a - b;
  return apart > 0 ? a + log1p(exp(-apart)) : apart <= 0 ? b + log1p(exp(apart)) : apart;
}
template <class F>
FN F log_add_exp2(F a, F b) {
  const F log2_e = (F)1.44269504088896340736;
  if (a == b) return a + 1;
  const F apart = a - b;
  return apart > 0 ? a + log2_e * log1p(exp2(-apart)) : apart <= 0 ? b + log2_e * log1p(exp2(apart)) : apart;
}
FN int exponent_of(i32 b) { return b; }
FN int exponent_of(i64 b) { return (int)(b < -(1 << 20) ? -(1 << 20) : b > 1 << 20 ? 1 << 20 : b); }
template <class F>
FN F spacing_of(F a) {
  if (a - a != 0) return (F)not_a_number();
  return nextafter(a, (F)(a < 0 ? -infinity() : infinity())) - a;
}
// The bits next to `a` on the way to `b`, in a 16-bit float format whose infinity is `largest`.
FN u16 towards(u16 a, u16 b, u16 largest) {
  const int a_size = a & 0x7fff, b_size = b & 0x7fff;
  if (a_size > largest || b_size > largest) return a_size > largest ? a : b;
  const int from = a & 0x8000 ? -a_size : a_size, to = b & 0x8000 ? -b_size : b_size;
  if (from == to) return b;
  if (a_size == 0) return (u16)(to < from ? 0x8001 : 1);
  return (u16)((from < to) == !(a & 0x8000) ? a + 1 : a - 1);
}
FN f32 next_half(f32 a, f32 b) { return half_value(towards(half_bits(a), half_bits(b), 0x7c00)); }
FN f32 next_brain(f32 a, f32 b) { return brain_value(towards(brain_bits(a), brain_bits(b), 0x7f80)); }
// NumPy's float16 looks upwards, whatever the sign.
FN f32 spacing_half(f32 a) {
  if (a - a != 0) return (f32)not_a_number();
  return half_value(towards(half_bits(a), 0x7c00, 0x7c00)) - a;
}
FN f32 spacing_brain(f32 a) {
  if (a - a != 0) return (f32)not_a_number();
  const u16 bits = brain_bits(a);
  return brain_value(towards(bits, (u16)(0x7f80 | (bits & 0x8000)), 0x7f80)) - a;
}

// ---- where elements lie ----

// Division by a number known beforehand, of what is below 2^31.
struct Divisor {
  u32 by, factor, shift;
};
FN u32 divide(u32 n, Divisor d) { return (__umulhi(n, d.factor) + n) >> d.shift; }

// D axes and the steps of K operands along them, for fewer than 2^31 elements or for any number.
template <int D, int K>
struct Narrow {
  Divisor shape[D];
  i64 step[K][D];
};
template <int D, int K>
struct Wide {
  u64 shape[D];
  i64 step[K][D];
};
template <int D, int K>
FN void offsets(const Narrow<D, K> &layout, u64 flat, i64 *at) {
  u32 index = (u32)flat;
#pragma unroll
  for (int k = 0; k < K; ++k) at[k] = 0;
#pragma unroll
  for (int d = D - 1; d >= 0; --d) {
    const u32 rest = d > 0 ? divide(index, layout.shape[d]) : 0;
    const i64 place = (i64)(index - rest * layout.shape[d].by);
#pragma unroll
    for (int k = 0; k < K; ++k) at[k] += place * layout.step[k][d];
    index = rest;
  }
}
template <int D, int K>
FN void offsets(const Wide<D, K> &layout, u64 flat, i64 *at) {
  u64 index = flat;
#pragma unroll
  for (int k = 0; k < K; ++k) at[k] = 0;
#pragma unroll
  for (int d = D - 1; d >= 0; --d) {
    const u64 rest = d > 0 ? index / layout.shape[d] : 0;
    const i64 place = (i64)(index - rest * layout.shape[d]);
#pragma unroll
    for (int k = 0; k < K; ++k) at[k] += place * layout.step[k][d];
    index = rest;
  }
}
#endif
