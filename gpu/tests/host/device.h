// Enough of CUDA C for generated kernels to run on a CPU, under sanitizers: threads of a block in turn, `__shared__` as
// static, barriers by switching between fibers. Not for speed. It shows faults of arithmetic, bounds, alignment and of
// missing or divergent barriers; it does not show races between warps, nor how a device rounds elementary functions.
#pragma once
#include <cstdint>
#include <cstring>
#include <functional>
#include <math.h>

#define __global__
#define __device__
#define __forceinline__ inline
#define __launch_bounds__(...)
#define __shared__ static

struct Index {
  unsigned x, y, z;
};
extern Index threadIdx, blockIdx, blockDim, gridDim;
void __syncthreads();

template <class To, class From>
inline To same_bits(From from) {
  static_assert(sizeof(To) == sizeof(From), "");
  To to;
  std::memcpy(&to, &from, sizeof to);
  return to;
}
inline unsigned __umulhi(unsigned a, unsigned b) { return (unsigned)((uint64_t)a * b >> 32); }
inline unsigned __float_as_uint(float x) { return same_bits<unsigned>(x); }
inline float __uint_as_float(unsigned bits) { return same_bits<float>(bits); }
inline long long __double_as_longlong(double x) { return same_bits<long long>(x); }
inline double __longlong_as_double(long long bits) { return same_bits<double>(bits); }

// float16 from float32, to nearest even, and back: what the device does in one instruction each.
unsigned short half_bits(float x);
float half_value(unsigned short bits);

// Runs a kernel's body for every thread of every block. Without barriers a thread needs no fiber.
void run_blocks(unsigned x, unsigned y, unsigned threads, bool barriers, const std::function<void()> &body);

typedef void (*Call)(void **arguments);
