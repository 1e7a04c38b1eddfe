// The threads of a block on one CPU thread, and a program that runs kernels on what a file says.
//
// usage: PROGRAM CASES RESULTS. CASES holds, as 64-bit words and bytes, for every case: its buffers (length, bytes before
// the first, whether content follows, whether it is wanted back), then its launches (kernel, blocks, whether it has
// barriers, arguments: a place in a buffer, or a value). RESULTS gets the wanted buffers in order.
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
    void *memory = mmap(nullptr, threads * STACK_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
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

extern const Call *const CALLS;
extern const uint64_t CALL_COUNT;

struct Buffer {
  char *allocation;
  uint64_t len, shift;
  bool wanted;
};

static FILE *cases;

static uint64_t word() {
  uint64_t value;
  if (std::fread(&value, sizeof value, 1, cases) != 1) fail("the file of cases ends too early");
  return value;
}

static void bytes(char *to, uint64_t len) {
  if (len != 0 && std::fread(to, len, 1, cases) != 1) fail("the file of cases ends too early");
}

int main(int count, char **arguments) {
  if (count != 3 || !(cases = std::fopen(arguments[1], "rb"))) fail("usage: PROGRAM CASES RESULTS");
  FILE *results = std::fopen(arguments[2], "wb");
  if (!results) fail("the file of results cannot be written");
  for (uint64_t left = word(); left > 0; --left) {
    std::vector<Buffer> buffers(word());
    for (Buffer &buffer : buffers) {
      buffer.len = word();
      buffer.shift = word();
      const bool filled = word();
      buffer.wanted = word();
      // malloc aligns to 16 bytes, and the sanitizer guards the exact length.
      buffer.allocation = (char *)std::malloc(buffer.shift + buffer.len);
      if (filled) bytes(buffer.allocation + buffer.shift, buffer.len);
      else std::memset(buffer.allocation, 0xab, buffer.shift + buffer.len);
    }
    for (uint64_t launches = word(); launches > 0; --launches) {
      const uint64_t kernel = word(), x = word(), y = word(), threads = word(), barriers = word();
      if (kernel >= CALL_COUNT) fail("no such kernel");
      std::vector<std::vector<char>> values(word());
      std::vector<void *> addresses;
      for (auto &value : values) {
        if (word()) {
          const Buffer &buffer = buffers.at(word());
          const char *place = buffer.allocation + buffer.shift + word();
          value.resize(sizeof place);
          std::memcpy(value.data(), &place, sizeof place);
        } else {
          value.resize(word());
          bytes(value.data(), value.size());
        }
        addresses.push_back(value.data());
      }
      run_blocks((unsigned)x, (unsigned)y, (unsigned)threads, barriers, [&] { CALLS[kernel](addresses.data()); });
    }
    for (const Buffer &buffer : buffers) {
      if (buffer.wanted && buffer.len) std::fwrite(buffer.allocation + buffer.shift, buffer.len, 1, results);
      std::free(buffer.allocation);
    }
  }
  if (std::fclose(results) != 0) fail("the file of results cannot be written");
  return 0;
}
