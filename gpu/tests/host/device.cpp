// The threads of a block on one CPU thread, barriers between them, and conversions that a device has instructions for.
#include "device.h"
#include <cstdio>
#include <cstdlib>
#include <sys/mman.h>
#include <ucontext.h>
#include <vector>

Index threadIdx, blockIdx, blockDim, gridDim;

[[noreturn]] static void fail(const char *what) {
  std::fprintf(stderr, "host device: %s\n", what);
  std::exit(3);
}

struct Fiber {
  ucontext_t context;
  bool done, waits;
};
static const size_t STACK_BYTES = 64 * 1024;
static ucontext_t scheduler;
static std::vector<Fiber> fibers;
static char *stacks;
static unsigned current;
static const std::function<void()> *running;

static void enter() {
  (*running)();
  fibers[current].done = true;
}

void __syncthreads() {
  if (fibers.empty()) fail("a barrier in a kernel that was said to have none");
  fibers[current].waits = true;
  swapcontext(&fibers[current].context, &scheduler);
}

static void run_fibers(unsigned threads, bool descending) {
  for (unsigned t = 0; t < threads; ++t) {
    Fiber &fiber = fibers[t];
    fiber.done = fiber.waits = false;
    getcontext(&fiber.context);
    fiber.context.uc_stack.ss_sp = stacks + t * STACK_BYTES;
    fiber.context.uc_stack.ss_size = STACK_BYTES;
    fiber.context.uc_link = &scheduler;
    makecontext(&fiber.context, enter, 0);
  }
  for (unsigned alive = threads; alive > 0;) {
    unsigned waiting = 0;
    for (unsigned n = 0; n < threads; ++n) {
      current = descending ? threads - 1 - n : n;
      Fiber &fiber = fibers[current];
      if (fiber.done) continue;
      fiber.waits = false;
      threadIdx.x = current;
      swapcontext(&scheduler, &fiber.context);
      alive -= fiber.done;
      waiting += fiber.waits;
    }
    if (waiting != alive) fail("some threads of a block wait at a barrier that others have passed");
    if (waiting != 0 && waiting != threads) fail("a barrier that threads have left the kernel before");
  }
}

void run_blocks(unsigned x, unsigned y, unsigned threads, bool barriers, const std::function<void()> &body) {
  gridDim = {x, y, 1};
  blockDim = {threads, 1, 1};
  if (barriers && !stacks) {
    void *memory = mmap(nullptr, 1024 * STACK_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED) fail("no memory for stacks");
    stacks = (char *)memory;
  }
  fibers.resize(barriers ? threads : 0);
  running = &body;
  for (unsigned by = 0; by < y; ++by)
    for (unsigned bx = 0; bx < x; ++bx) {
      blockIdx = {bx, by, 0};
      if (barriers) {
        run_fibers(threads, bx % 2 == 1);
      } else {
        for (threadIdx.x = 0; threadIdx.x < threads; ++threadIdx.x) body();
      }
    }
}

unsigned short half_bits(float x) {
  const unsigned bits = __float_as_uint(x), sign = bits >> 16 & 0x8000, size = bits & 0x7fffffff;
  if (size > 0x7f800000) return (unsigned short)(sign | 0x7e00);
  if (size >= 0x477ff000) return (unsigned short)(sign | 0x7c00);  // rounds to 2^16 or more
  if (size < 0x38800000) {
    // Below the smallest normal number: adding 0.5 leaves the right digits, rounded, at the end.
    const float shifted = __uint_as_float(size) + 0.5f;
    return (unsigned short)(sign | (__float_as_uint(shifted) - 0x3f000000));
  }
  const unsigned even = size >> 13 & 1;
  return (unsigned short)(sign | ((size + 0xfff + even - 0x38000000) >> 13));
}

float half_value(unsigned short bits) {
  const unsigned sign = (unsigned)(bits & 0x8000) << 16, size = bits & 0x7fff;
  if (size >= 0x7c00) return __uint_as_float(sign | 0x7f800000 | size << 13);
  if (size < 0x400) {
    const float value = (float)size * 5.9604644775390625e-8f;  // 2^-24
    return sign ? -value : value;
  }
  return __uint_as_float(sign | ((size << 13) + 0x38000000));
}
