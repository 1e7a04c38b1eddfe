// libnvrtc.so.13 for machines without one: kernels are compiled by the system's C++ compiler into libraries for driver.cpp.
//
// It knows sm_75, sm_80 and sm_90; what it calls PTX for others is a library, too.
// FAKE_CUDA_HEADERS names the folder of device.h; CXX the compiler (c++).
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <regex>
#include <sstream>
#include <string>
#include <unistd.h>

struct Program {
  std::string source, log, code;
  bool is_machine_code;
};
static const int ARCHITECTURES[] = {75, 80, 90};
enum { COMPILATION = 6 };

// What lets the driver call a kernel without knowing its parameters.
static const char *CALLING = R"(
#include <utility>
template <class... A, std::size_t... I> void spread(void (*f)(A...), void **a, std::index_sequence<I...>) { f(*(A *)a[I]...); }
template <class... A> void apply(void (*f)(A...), void **a) { spread(f, a, std::index_sequence_for<A...>()); }
template <class... A> std::size_t size_of(void (*)(A...), int n) {
  const std::size_t sizes[] = {sizeof(A)..., 0};
  return sizes[n];
}
)";

static std::string contents(const std::string &path) {
  std::ifstream file(path, std::ios::binary);
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

extern "C" {
int nvrtcVersion(int *major, int *minor) {
  *major = 13;
  *minor = 99;
  return 0;
}
int nvrtcGetNumSupportedArchs(int *count) {
  *count = sizeof ARCHITECTURES / sizeof *ARCHITECTURES;
  return 0;
}
int nvrtcGetSupportedArchs(int *all) {
  std::memcpy(all, ARCHITECTURES, sizeof ARCHITECTURES);
  return 0;
}
int nvrtcCreateProgram(void **program, const char *source, const char *, int, const char *const *, const char *const *) {
  *program = new Program{source, "", "", false};
  return 0;
}
int nvrtcCompileProgram(void *handle, int count, const char *const *options) {
  Program &program = *(Program *)handle;
  bool is_known = false;
  for (int n = 0; n < count; ++n)
    for (int number : ARCHITECTURES) {
      const std::string option = options[n], own = std::to_string(number);
      if (option == "--gpu-architecture=sm_" + own) program.is_machine_code = is_known = true;
      is_known |= option == "--gpu-architecture=compute_" + own;
    }
  if (!is_known) {
    program.log = "invalid value for --gpu-architecture";
    return COMPILATION;
  }
  std::smatch found;
  static const std::regex entry("extern \"C\" __global__ void (?:__launch_bounds__\\([^)]*\\) )?([A-Za-z_][A-Za-z0-9_]*)\\(");
  if (!std::regex_search(program.source, found, entry)) {
    program.log = "no kernel with C linkage";
    return COMPILATION;
  }
  const std::string name = found[1];
  const bool scoped = program.source.find("namespace " + name + "_of {") != std::string::npos;
  const std::string called = scoped ? name + "_of::" + name : name;
  const bool barriers = program.source.find("__syncthreads") != std::string::npos;
  char folder[] = "/tmp/fake-nvrtc-XXXXXX";
  if (!mkdtemp(folder)) return COMPILATION;
  const std::string base = folder, source = base + "/kernel.cpp", library = base + "/kernel.so", log = base + "/log";
  std::ofstream(source) << "#include \"device.h\"\n" << program.source << CALLING << "extern \"C\" void " << name
                        << "_call(void **a) { apply(&" << called << ", a); }\nextern \"C\" std::size_t " << name << "_size(int n) { return size_of(&"
                        << called << ", n); }\nextern \"C\" const int " << name << "_barriers = " << barriers << ";\n";
  const char *compiler = std::getenv("CXX"), *headers = std::getenv("FAKE_CUDA_HEADERS");
  const std::string command = std::string(compiler ? compiler : "c++") + " -std=c++17 -O1 -w -shared -fPIC -fno-strict-aliasing -ffp-contract=off -I'" +
                              (headers ? headers : ".") + "' -o " + library + " " + source + " 2> " + log;
  const int code = std::system(command.c_str());
  program.log = contents(log);
  program.code = contents(library);
  std::system(("rm -rf " + base).c_str());
  return code == 0 ? 0 : COMPILATION;
}
int nvrtcDestroyProgram(void **program) {
  delete (Program *)*program;
  *program = nullptr;
  return 0;
}
int nvrtcGetProgramLogSize(void *program, size_t *bytes) {
  *bytes = ((Program *)program)->log.size() + 1;
  return 0;
}
int nvrtcGetProgramLog(void *program, char *log) {
  std::strcpy(log, ((Program *)program)->log.c_str());
  return 0;
}
int nvrtcGetCUBINSize(void *program, size_t *bytes) {
  *bytes = ((Program *)program)->is_machine_code ? ((Program *)program)->code.size() : 0;
  return 0;
}
int nvrtcGetCUBIN(void *program, char *code) {
  std::memcpy(code, ((Program *)program)->code.data(), ((Program *)program)->code.size());
  return 0;
}
int nvrtcGetPTXSize(void *program, size_t *bytes) {
  *bytes = ((Program *)program)->code.size() + 1;
  return 0;
}
int nvrtcGetPTX(void *program, char *text) {
  const std::string &code = ((Program *)program)->code;
  std::memcpy(text, code.c_str(), code.size() + 1);
  return 0;
}
}
