//! Compiling generated kernels to machine code with NVRTC, which needs no device and no toolkit.
//!
//! Invariant: what is compiled rounds every operation once, as the CPU does, and keeps subnormal numbers. Called by whoever
//! runs kernels on a device; the tests compile all that is generated.

mod nvrtc;

use crate::cache::{Cubins, Key};
use crate::device::{Architecture, Version};
use crate::{Error, Result};
use nvrtc::{Nvrtc, Program};
use std::sync::OnceLock;

/// How kernels are compiled, besides for which architecture. `-v` makes the log tell registers and spills.
const OPTIONS: [&str; 4] = ["--std=c++17", "--fmad=false", "--disable-warnings", "--ptxas-options=-v"];
/// The major version of CUDA that this was made for.
const MAJOR: u32 = 13;

/// NVRTC, loaded.
#[derive(Clone, Copy, Debug)]
pub struct Compiler {
    nvrtc: &'static Nvrtc,
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
        static LOADED: OnceLock<std::result::Result<Nvrtc, String>> = OnceLock::new();
        let loaded = LOADED.get_or_init(Nvrtc::open).as_ref();
        loaded.map(|nvrtc| Self { nvrtc }).map_err(|why| Error::NoCompiler { why: why.clone() })
    }

    /// NVRTC's version.
    #[must_use]
    pub const fn version(&self) -> Version {
        self.nvrtc.version
    }

    /// Machine code for an architecture, from the cache if it has it.
    ///
    /// # Errors
    /// [`Error::Compile`].
    pub fn cached(&self, cubins: &Cubins, source: &str, architecture: Architecture) -> Result<Vec<u8>> {
        let key = Key::new(source, &OPTIONS, architecture, self.version());
        cubins.get_or_make(&key, || Ok(self.compile(source, architecture)?.cubin))
    }

    /// Compiles a source for an architecture.
    ///
    /// # Errors
    /// [`Error::Compile`] with NVRTC's log.
    pub fn compile(&self, source: &str, architecture: Architecture) -> Result<Compiled> {
        let program = self.program(source, &architecture.to_string())?;
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
        let ptx = self.program(source, &virtual_one)?.ptx().unwrap_or_default();
        Ok(String::from_utf8_lossy(&ptx).trim_end_matches('\0').to_owned())
    }

    fn program(&self, source: &str, architecture: &str) -> Result<Program<'static>> {
        let mut options = vec![format!("--gpu-architecture={architecture}")];
        options.extend(OPTIONS.map(str::to_owned));
        let fault = |log| Error::Compile { architecture: architecture.to_owned(), log };
        self.nvrtc.compiled(source, &options).map_err(fault)
    }
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
