// A program that runs kernels on what a file says.
//
// usage: PROGRAM CASES RESULTS. CASES holds, as 64-bit words and bytes, for every case: its buffers (length, bytes before
// the first, whether content follows, whether it is wanted back), then its launches (kernel, blocks, whether it has
// barriers, arguments: a place in a buffer, or a value). RESULTS gets the wanted buffers in order.
#include "device.h"
#include <cstdio>
#include <cstdlib>
#include <vector>

[[noreturn]] static void fail(const char *what) {
  std::fprintf(stderr, "host device: %s\n", what);
  std::exit(3);
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
