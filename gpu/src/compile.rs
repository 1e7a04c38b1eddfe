//! Compiling generated kernels to machine code with NVRTC, which needs no device and no toolkit.
//!
//! NVRTC is looked for in the folders of `BLOCKWISE_CUDA_LIBRARIES` and `CUDA_PATH`, then among the system's libraries.
//! Invariant: what is compiled rounds every operation once, as the CPU does, and keeps subnormal numbers. Called by whoever
//! runs kernels on a device; the tests compile all that is generated.

#![expect(unsafe_code, reason = "NVRTC's functions are C functions")]

use crate::cache::{Cubins, Key};
use crate::device::{Architecture, Version};
use crate::{Error, Result};
use cudarc::nvrtc::{result, sys};
use libloading::Library;
use std::ffi::{CString, c_char};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

/// How kernels are compiled, besides for which architecture. `-v` makes the log tell registers and spills.
const OPTIONS: [&str; 4] = ["--std=c++17", "--fmad=false", "--disable-warnings", "--ptxas-options=-v"];
/// The major version of the bindings.
const MAJOR: u32 = 13;
/// What is called below.
const SYMBOLS: [&str; 9] = [
    "nvrtcVersion",
    "nvrtcCreateProgram",
    "nvrtcCompileProgram",
    "nvrtcDestroyProgram",
    "nvrtcGetProgramLogSize",
    "nvrtcGetProgramLog",
    "nvrtcGetCUBINSize",
    "nvrtcGetCUBIN",
    "nvrtcGetPTX",
];

/// NVRTC, loaded.
#[derive(Clone, Copy, Debug)]
pub struct Compiler {
    version: Version,
}

/// What became of a source.
#[derive(Clone, Debug)]
pub struct Compiled {
    /// Machine code: a file in ELF's form.
    pub cubin: Vec<u8>,
    /// What each kernel in it takes.
    pub usage: Vec<Usage>,
}

/// What a kernel takes of a multiprocessor.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// The kernel's name.
    pub kernel: String,
    /// Registers of a thread.
    pub registers: u32,
    /// Bytes that a thread's registers did not hold, written and read.
    pub spilled_bytes: u32,
    /// Bytes of a thread's own memory: arrays that are indexed at run time, and what was spilled.
    pub stack_bytes: u32,
}

impl Compiler {
    /// Loads NVRTC, once a process.
    ///
    /// # Errors
    /// [`Error::NoCompiler`] if there is none, or one of another version than the bindings.
    pub fn load() -> Result<Self> {
        static LOADED: OnceLock<std::result::Result<Compiler, String>> = OnceLock::new();
        LOADED.get_or_init(open).clone().map_err(|why| Error::NoCompiler { why })
    }

    /// NVRTC's version.
    #[must_use]
    pub const fn version(&self) -> Version {
        self.version
    }

    /// Machine code for an architecture, from the cache if it has it.
    ///
    /// # Errors
    /// [`Error::Compile`].
    pub fn cached(&self, cubins: &Cubins, source: &str, architecture: Architecture) -> Result<Vec<u8>> {
        let key = Key::new(source, &OPTIONS, architecture, self.version);
        cubins.get_or_make(&key, || Ok(self.compile(source, architecture)?.cubin))
    }

    /// Compiles a source for an architecture.
    ///
    /// # Errors
    /// [`Error::Compile`] with NVRTC's log.
    pub fn compile(&self, source: &str, architecture: Architecture) -> Result<Compiled> {
        let program = Program::compiled(source, &architecture.to_string())?;
        let cubin = program.cubin().ok_or_else(|| Error::Compile {
            architecture: architecture.to_string(),
            log: "no machine code was made".to_owned(),
        })?;
        Ok(Compiled { cubin, usage: usage(&program.log()) })
    }

    /// The source in PTX, the assembly language that machine code is made of.
    ///
    /// # Errors
    /// [`Error::Compile`] with NVRTC's log.
    pub fn ptx(&self, source: &str, architecture: Architecture) -> Result<String> {
        let virtual_one = format!("compute_{}{}", architecture.major, architecture.minor);
        let program = Program::compiled(source, &virtual_one)?;
        // SAFETY: the program was created and not destroyed.
        let ptx = unsafe { result::get_ptx(program.0) };
        Ok(text(&ptx.unwrap_or_default()))
    }
}

/// Loads the library and asks its version; why not.
fn open() -> std::result::Result<Compiler, String> {
    let variables = [("BLOCKWISE_CUDA_LIBRARIES", ""), ("CUDA_PATH", "lib64")];
    let folders =
        variables.iter().filter_map(|(name, below)| Some(PathBuf::from(std::env::var_os(name)?).join(below)));
    let found = folders.into_iter().find(|folder| library(folder).is_file());
    if let Some(folder) = found {
        preload(&folder)
            .map_err(|error| format!("NVRTC in {} could not be loaded: {error}", folder.display()))?;
    }
    // SAFETY: loading NVRTC runs its initialisers and nothing else.
    if !unsafe { sys::is_culib_present() } {
        return Err(format!("NVRTC (libnvrtc.so.{MAJOR}) was not found"));
    }
    // SAFETY: as above; it is present, so this does not panic.
    let nvrtc = unsafe { sys::culib() };
    for symbol in SYMBOLS {
        // SAFETY: the address is not used.
        if unsafe { nvrtc.get::<*const ()>(symbol) }.is_err() {
            return Err(format!("the NVRTC that was found has no {symbol}"));
        }
    }
    let (mut major, mut minor) = (0, 0);
    // SAFETY: writes two ints; the function is there.
    let answer = unsafe { sys::nvrtcVersion(&raw mut major, &raw mut minor) };
    let number = |part: i32| u32::try_from(part).unwrap_or(0);
    let version = Version { major: number(major), minor: number(minor) };
    if answer != sys::nvrtcResult::NVRTC_SUCCESS || version.major != MAJOR {
        return Err(format!("the NVRTC that was found is of CUDA {version}, not {MAJOR}"));
    }
    Ok(Compiler { version })
}

fn library(folder: &Path) -> PathBuf {
    folder.join(format!("libnvrtc.so.{MAJOR}"))
}

/// Loads NVRTC from a folder, what it needs first; later look-ups by name find it.
fn preload(folder: &Path) -> std::result::Result<(), Box<dyn std::error::Error>> {
    let prefix = format!("libnvrtc-builtins.so.{MAJOR}");
    let mut paths: Vec<PathBuf> = std::fs::read_dir(folder)?
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(&prefix)))
        .collect();
    paths.push(library(folder));
    for path in paths {
        // SAFETY: NVIDIA's libraries, from the folder that the user names; they stay loaded.
        std::mem::forget(unsafe { Library::new(&path) }?);
    }
    Ok(())
}

/// A program of NVRTC's, destroyed when dropped.
struct Program(sys::nvrtcProgram);

impl Program {
    fn compiled(source: &str, architecture: &str) -> Result<Self> {
        let fault = |log: String| Error::Compile { architecture: architecture.to_owned(), log };
        let source = CString::new(source).map_err(|error| fault(error.to_string()))?;
        let program = result::create_program(&source, None).map_err(|error| fault(error.to_string()))?;
        let program = Self(program);
        let mut options = vec![format!("--gpu-architecture={architecture}")];
        options.extend(OPTIONS.map(str::to_owned));
        // SAFETY: the program was created and not destroyed.
        unsafe { result::compile_program(program.0, &options) }.map_err(|_| fault(program.log()))?;
        Ok(program)
    }

    fn log(&self) -> String {
        // SAFETY: the program was created and not destroyed.
        text(&unsafe { result::get_program_log(self.0) }.unwrap_or_default())
    }

    fn cubin(&self) -> Option<Vec<u8>> {
        let mut len = 0;
        // SAFETY: the program was created and not destroyed; one size is written.
        unsafe { sys::nvrtcGetCUBINSize(self.0, &raw mut len) }.result().ok()?;
        let mut cubin = vec![0_u8; len];
        // SAFETY: so many bytes are written.
        unsafe { sys::nvrtcGetCUBIN(self.0, cubin.as_mut_ptr().cast::<c_char>()) }.result().ok()?;
        Some(cubin).filter(|cubin| !cubin.is_empty())
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // SAFETY: the program was created, and is destroyed once.
        let _ = unsafe { result::destroy_program(self.0) }; // nothing else can be done about it
    }
}

/// C's characters up to the 0.
fn text(characters: &[c_char]) -> String {
    let bytes: Vec<u8> =
        characters.iter().map(|byte| byte.cast_unsigned()).take_while(|byte| *byte != 0).collect();
    String::from_utf8_lossy(&bytes).into_owned()
}

/// What the log says of each kernel: its name on one line, stack and spills and registers on the following ones.
fn usage(log: &str) -> Vec<Usage> {
    let before = |line: &str, word: &str| -> u32 {
        let Some((front, _)) = line.split_once(word) else { return 0 };
        front.split_whitespace().next_back().and_then(|number| number.parse().ok()).unwrap_or(0)
    };
    let mut all: Vec<Usage> = Vec::new();
    for line in log.lines() {
        if let Some((_, rest)) = line.split_once("Compiling entry function '") {
            let kernel = rest.split('\'').next().unwrap_or_default().to_owned();
            all.push(Usage { kernel, ..Usage::default() });
        } else if let Some(last) = all.last_mut() {
            if line.contains("bytes stack frame") {
                last.stack_bytes += before(line, " bytes stack frame");
                last.spilled_bytes +=
                    before(line, " bytes spill stores") + before(line, " bytes spill loads");
            } else if line.contains(" registers") {
                last.registers = before(line, " registers");
            }
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_log_tells_what_kernels_take() {
        let log = "ptxas info    : 0 bytes gmem
ptxas info    : Compiling entry function 'one' for 'sm_90'
ptxas info    : Function properties for one
    0 bytes stack frame, 0 bytes spill stores, 0 bytes spill loads
ptxas info    : Used 26 registers, used 1 barriers, 2048 bytes smem
ptxas info    : Compiling entry function 'two' for 'sm_90'
ptxas info    : Function properties for two
    40 bytes stack frame, 24 bytes spill stores, 32 bytes spill loads
ptxas info    : Used 255 registers, used 0 barriers";
        let of = |kernel: &str, registers, spilled_bytes, stack_bytes| Usage {
            kernel: kernel.to_owned(),
            registers,
            spilled_bytes,
            stack_bytes,
        };
        assert_eq!(usage(log), [of("one", 26, 0, 0), of("two", 255, 56, 40)]);
    }
}
