// libcuda.so.1 for machines without one: a driver whose devices are this CPU, for tests of what calls drivers.
//
// Stricter than a real one where that finds faults: copies and kernels wait until somebody waits for their stream, so what is freed or read too
// early shows; every range must lie in memory that was allocated here; every call needs a current context. Threads of a block run
// in device.cpp, kernels are libraries that nvrtc.cpp made.
//
// The environment says more: FAKE_CUDA_DEVICES (how many; 1), FAKE_CUDA_CAPABILITY (90), FAKE_CUDA_MOST_THREADS (of a block of any kernel; 1024), FAKE_CUDA_MEMORY (bytes of each; 1 GiB), FAKE_CUDA_FAIL ("FUNCTION:N:CODE": its
// Nth call gives CODE; N is 0: every call), FAKE_CUDA_SLOW_MS (how long a wait for a stream takes, and a copy to or from memory that is not
// page-locked, for which a driver waits; 0), FAKE_CUDA_COUNTS (a file to which what was done is added, when the process ends).
#include "device.h"
#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <dlfcn.h>
#include <elf.h>
#include <map>
#include <mutex>
#include <string>
#include <unistd.h>
#include <vector>

typedef int Result;
typedef unsigned long long Address;
enum { INVALID_VALUE = 1, OUT_OF_MEMORY = 2, NOT_INITIALIZED = 3, INVALID_CONTEXT = 201, INVALID_IMAGE = 200, INVALID_HANDLE = 400, NOT_FOUND = 500 };

struct Module {
  void *library;
  std::string path;
};
struct Function {
  void (*call)(void **);
  size_t (*size)(int);
  bool barriers;
};
struct Stream {
  int device;
  std::vector<std::function<Result()>> waiting;
};
struct Device {
  std::map<Address, size_t> memory;
  size_t used, peak;
  int retained;
};

static std::recursive_mutex lock;
static bool initialized;
static Device devices[8];
static std::map<char *, size_t> pinned;
static long pinnings = 0;
static std::map<Stream *, bool> streams;
static std::map<std::string, long> calls;
static long launches, copied_in, copied_out, pageable;
// Threads that the driver keeps waiting, now and at most: for a stream, and in a copy.
struct Kept {
  std::atomic<long> now{0}, most{0};
};
static Kept waiting_for_streams, waiting_in_copies;
static thread_local int current = -1;
// The error after which a process gets nothing else, once there was one.
static Result lost;

static long number(const char *name, long fallback) {
  const char *text = std::getenv(name);
  return text ? std::atol(text) : fallback;
}
static int device_count() { return (int)number("FAKE_CUDA_DEVICES", 1); }
static size_t memory_bytes() { return (size_t)number("FAKE_CUDA_MEMORY", 1l << 30); }

// The code that a call of this function is to give, by count; some are given for ever after.
static Result planned_once(const char *function) {
  const long count = ++calls[function];
  const char *text = std::getenv("FAKE_CUDA_FAIL");
  if (!text) return 0;
  const std::string plan = text, name = plan.substr(0, plan.find(':'));
  if (name != function) return 0;
  const std::string rest = plan.substr(name.size() + 1);
  const long wanted = std::atol(rest.c_str());
  return wanted == count || wanted == 0 ? std::atoi(rest.substr(rest.find(':') + 1).c_str()) : 0;
}

static Result planned(const char *function) {
  const Result code = planned_once(function);
  if (code == 700) lost = code;
  return code;
}

// Takes as long as the environment says. Nobody calls this with the lock.
static void take_long(Kept &kept) {
  static const long slow_ms = number("FAKE_CUDA_SLOW_MS", 0);
  if (slow_ms == 0) return;
  const long now = ++kept.now;
  for (long most = kept.most; most < now && !kept.most.compare_exchange_weak(most, now);) {
  }
  usleep(slow_ms * 1000);
  --kept.now;
}

// Whether a device reaches a range of the host's memory by itself; counts those that it does not.
static bool is_pinned(const void *start, size_t bytes) {
  std::lock_guard<std::recursive_mutex> guard(lock);
  auto after = pinned.upper_bound((char *)start);
  const bool found = bytes == 0 || (after != pinned.begin() && (--after, (char *)start + bytes <= after->first + after->second));
  pageable += !found;
  return found;
}

static struct Account {
  ~Account() {
    const char *path = std::getenv("FAKE_CUDA_COUNTS");
    FILE *file = path ? std::fopen(path, "a") : nullptr;
    if (!file) return;
    size_t peak = 0, left = 0, retained = 0;
    for (const Device &device : devices) {
      if (device.peak > peak) peak = device.peak;
      left += device.memory.size();
      retained += device.retained;
    }
    std::fprintf(file, "launches %ld\ncopied_in %ld\ncopied_out %ld\npageable %ld\npeak %zu\npinnings %ld\n", launches, copied_in, copied_out, pageable, peak, pinnings);
    std::fprintf(file, "slabs_left %zu\npinned_left %zu\nstreams_left %zu\nretained %zu\n", left, pinned.size(), streams.size(), retained);
    std::fprintf(file, "waiting_for_streams %ld\nwaiting_in_copies %ld\n", waiting_for_streams.most.load(), waiting_in_copies.most.load());
    std::fclose(file);
  }
} account;

#define ENTER(name)                                                \
  std::lock_guard<std::recursive_mutex> guard(lock);               \
  if (!initialized) return NOT_INITIALIZED;                        \
  if (const Result code = planned(name)) return code;
#define ENTER_CONTEXT(name)                \
  ENTER(name)                              \
  if (current < 0) return INVALID_CONTEXT; \
  if (lost) return lost;

static bool holds(const std::map<Address, size_t> &memory, Address at, size_t bytes) {
  auto after = memory.upper_bound(at);
  if (after == memory.begin()) return bytes == 0;
  --after;
  return at + bytes <= after->first + after->second;
}

extern "C" {
Result cuInit(unsigned) {
  initialized = true;
  return 0;
}
Result cuDriverGetVersion(int *version) {
  *version = 13000;
  return 0;
}
Result cuGetErrorName(int code, const char **name) {
  *name = code == 700 ? "CUDA_ERROR_ILLEGAL_ADDRESS" : code == OUT_OF_MEMORY ? "CUDA_ERROR_OUT_OF_MEMORY" : nullptr;
  return *name ? 0 : INVALID_VALUE;
}
Result cuDeviceGetCount(int *count) {
  *count = device_count();
  return 0;
}
Result cuDeviceGet(int *device, int ordinal) {
  *device = ordinal;
  return ordinal < device_count() ? 0 : 101;
}
Result cuDeviceGetName(char *name, int len, int) {
  std::snprintf(name, len, "CPU that acts as a device");
  return 0;
}
Result cuDeviceTotalMem_v2(size_t *bytes, int) {
  *bytes = memory_bytes();
  return 0;
}
Result cuDeviceGetAttribute(int *value, int which, int) {
  const long capability = number("FAKE_CUDA_CAPABILITY", 90);
  *value = (int)(which == 75 ? capability / 10 : which == 76 ? capability % 10 : 0);
  return 0;
}
Result cuDevicePrimaryCtxSetFlags_v2(int, unsigned) { return 0; }
Result cuDevicePrimaryCtxRetain(void **context, int device) {
  ENTER("cuDevicePrimaryCtxRetain")
  ++devices[device].retained;
  *context = (void *)(intptr_t)(device + 1);
  return 0;
}
Result cuDevicePrimaryCtxRelease_v2(int device) {
  ENTER("cuDevicePrimaryCtxRelease")
  --devices[device].retained;
  return 0;
}
Result cuCtxSetCurrent(void *context) {
  ENTER("cuCtxSetCurrent")
  const int device = (int)(intptr_t)context - 1;
  if (device < 0 || !devices[device].retained) return INVALID_CONTEXT;
  current = device;
  return 0;
}
Result cuMemGetInfo_v2(size_t *free, size_t *total) {
  ENTER_CONTEXT("cuMemGetInfo")
  *total = memory_bytes();
  *free = *total - devices[current].used;
  return 0;
}
Result cuMemAlloc_v2(Address *address, size_t bytes) {
  ENTER_CONTEXT("cuMemAlloc")
  Device &device = devices[current];
  if (bytes == 0) return INVALID_VALUE;
  if (device.used + bytes > memory_bytes()) return OUT_OF_MEMORY;
  void *memory = std::aligned_alloc(256, (bytes + 255) / 256 * 256);
  if (!memory) return OUT_OF_MEMORY;
  std::memset(memory, 0xab, bytes);
  device.memory[*address = (Address)memory] = bytes;
  device.used += bytes;
  if (device.used > device.peak) device.peak = device.used;
  return 0;
}
Result cuMemFree_v2(Address address) {
  ENTER_CONTEXT("cuMemFree")
  Device &device = devices[current];
  auto found = device.memory.find(address);
  if (found == device.memory.end()) return INVALID_VALUE;
  device.used -= found->second;
  std::memset((void *)address, 0xcd, found->second);
  device.memory.erase(found);
  std::free((void *)address);
  return 0;
}
Result cuMemHostAlloc(void **start, size_t bytes, unsigned) {
  ENTER_CONTEXT("cuMemHostAlloc")
  *start = std::aligned_alloc(4096, (bytes + 4095) / 4096 * 4096);
  if (!*start) return OUT_OF_MEMORY;
  std::memset(*start, 0xab, bytes);
  pinned[(char *)*start] = bytes;
  ++pinnings;
  return 0;
}
Result cuMemFreeHost(void *start) {
  ENTER_CONTEXT("cuMemFreeHost")
  auto found = pinned.find((char *)start);
  if (found == pinned.end()) return INVALID_VALUE;
  std::memset(start, 0xcd, found->second);
  pinned.erase(found);
  std::free(start);
  return 0;
}
Result cuStreamCreate(void **stream, unsigned) {
  ENTER_CONTEXT("cuStreamCreate")
  Stream *made = new Stream{current, {}};
  streams[made] = true;
  *stream = made;
  return 0;
}
Result cuStreamDestroy_v2(void *stream) {
  ENTER_CONTEXT("cuStreamDestroy")
  if (!streams.erase((Stream *)stream)) return INVALID_HANDLE;
  delete (Stream *)stream;
  return 0;
}
Result cuStreamSynchronize(void *stream) {
  std::vector<std::function<Result()>> waiting;
  {
    ENTER_CONTEXT("cuStreamSynchronize")
    if (!streams.count((Stream *)stream)) return INVALID_HANDLE;
    waiting.swap(((Stream *)stream)->waiting);
  }
  take_long(waiting_for_streams);
  std::lock_guard<std::recursive_mutex> guard(lock);
  for (auto &step : waiting)
    if (const Result code = step()) return code;
  return 0;
}
static Result queue(void *stream, std::function<Result()> step) {
  if (!streams.count((Stream *)stream) || ((Stream *)stream)->device != current) return INVALID_HANDLE;
  ((Stream *)stream)->waiting.push_back(step);
  return 0;
}
Result cuMemcpyHtoDAsync_v2(Address to, const void *from, size_t bytes, void *stream) {
  if (!is_pinned(from, bytes)) take_long(waiting_in_copies);
  ENTER_CONTEXT("cuMemcpyHtoDAsync")
  const int device = current;
  return queue(stream, [=]() -> Result {
    if (!holds(devices[device].memory, to, bytes)) return 700;
    std::memcpy((void *)to, from, bytes);
    copied_in += bytes;
    return 0;
  });
}
Result cuMemcpyDtoHAsync_v2(void *to, Address from, size_t bytes, void *stream) {
  if (!is_pinned(to, bytes)) take_long(waiting_in_copies);
  ENTER_CONTEXT("cuMemcpyDtoHAsync")
  const int device = current;
  return queue(stream, [=]() -> Result {
    if (!holds(devices[device].memory, from, bytes)) return 700;
    std::memcpy(to, (void *)from, bytes);
    copied_out += bytes;
    return 0;
  });
}
Result cuModuleLoadData(void **module, const void *image) {
  ENTER_CONTEXT("cuModuleLoadData")
  const Elf64_Ehdr *header = (const Elf64_Ehdr *)image;
  if (std::memcmp(header->e_ident, ELFMAG, SELFMAG) != 0) return INVALID_IMAGE;
  const size_t bytes = header->e_shoff + (size_t)header->e_shnum * header->e_shentsize;
  char path[] = "/tmp/fake-cuda-XXXXXX";
  const int file = mkstemp(path);
  if (file < 0 || write(file, image, bytes) != (ssize_t)bytes) return INVALID_IMAGE;
  close(file);
  // Kernels use this library's threads and barriers.
  Dl_info own;
  dladdr((void *)&cuInit, &own);
  dlopen(own.dli_fname, RTLD_NOW | RTLD_GLOBAL | RTLD_NOLOAD);
  void *library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
  unlink(path);
  if (!library) {
    std::fprintf(stderr, "fake driver: %s\n", dlerror());
    return INVALID_IMAGE;
  }
  *module = new Module{library, path};
  return 0;
}
Result cuModuleUnload(void *module) {
  ENTER_CONTEXT("cuModuleUnload")
  dlclose(((Module *)module)->library);
  delete (Module *)module;
  return 0;
}
Result cuModuleGetFunction(void **function, void *module, const char *name) {
  ENTER_CONTEXT("cuModuleGetFunction")
  auto find = [&](const char *ending) { return dlsym(((Module *)module)->library, (std::string(name) + ending).c_str()); };
  void *call = find("_call"), *size = find("_size"), *barriers = find("_barriers");
  if (!call || !size || !barriers) return NOT_FOUND;
  // Lives as long as the process, as the tests' modules do.
  *function = new Function{(void (*)(void **))call, (size_t(*)(int))size, *(const int *)barriers != 0};
  return 0;
}
Result cuFuncGetAttribute(int *value, int which, void *) {
  ENTER_CONTEXT("cuFuncGetAttribute")
  if (which != 0) return INVALID_VALUE;
  *value = (int)number("FAKE_CUDA_MOST_THREADS", 1024);
  return 0;
}
Result cuLaunchKernel(void *kernel, unsigned x, unsigned y, unsigned z, unsigned threads, unsigned, unsigned, unsigned, void *stream, void **arguments, void **) {
  ENTER_CONTEXT("cuLaunchKernel")
  if (x == 0 || y == 0 || z != 1 || y > 65535 || threads > 1024) return INVALID_VALUE;
  if (threads > (unsigned)number("FAKE_CUDA_MOST_THREADS", 1024)) return 701;
  const Function *function = (const Function *)kernel;
  std::vector<std::vector<char>> values;
  for (int n = 0; function->size(n) != 0; ++n) {
    const char *start = (const char *)arguments[n];
    values.emplace_back(start, start + function->size(n));
  }
  return queue(stream, [=]() mutable -> Result {
    std::vector<void *> addresses;
    for (auto &value : values) addresses.push_back(value.data());
    run_blocks(x, y, threads, function->barriers, [&] { function->call(addresses.data()); });
    ++launches;
    return 0;
  });
}
}
