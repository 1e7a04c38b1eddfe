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

/// What kernels for a device are compiled to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target {
    /// Machine code of its architecture.
    Machine(Architecture),
    /// PTX for this architecture, the newest before its own that the compiler knows: the driver makes machine code of it.
    Assembly(Architecture),
}

impl Target {
    /// What a compiler that makes machine code for `known`, ascending, compiles for a device of `architecture`; the oldest known one if it
    /// is older than that.
    fn of(
        architecture: Architecture,
        known: &[Architecture],
    ) -> std::result::Result<Self, Option<Architecture>> {
        match known.iter().rev().find(|own| **own <= architecture) {
            Some(own) if *own == architecture => Ok(Self::Machine(*own)),
            Some(own) => Ok(Self::Assembly(*own)),
            None => Err(known.first().copied()),
        }
    }
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

    /// What kernels for a device of `architecture` are compiled to.
    ///
    /// # Errors
    /// [`Error::OldArchitecture`] if NVRTC makes nothing that it runs.
    pub fn target(&self, architecture: Architecture) -> Result<Target> {
        let too_old = |oldest: Option<Architecture>| Error::OldArchitecture {
            architecture,
            oldest: oldest.unwrap_or(architecture),
            version: self.version(),
        };
        Target::of(architecture, &self.nvrtc.architectures).map_err(too_old)
    }

    /// What a driver loads, from the cache if it has it.
    ///
    /// # Errors
    /// [`Error::Compile`].
    pub fn cached(&self, cubins: &Cubins, source: &str, target: Target) -> Result<Vec<u8>> {
        let mut options = OPTIONS.to_vec();
        let architecture = match target {
            Target::Machine(architecture) => architecture,
            Target::Assembly(architecture) => {
                options.push("PTX");
                architecture
            }
        };
        let key = Key::new(source, &options, architecture, self.version());
        cubins.get_or_make(&key, || self.code(source, target))
    }

    /// What a driver loads.
    ///
    /// # Errors
    /// [`Error::Compile`] with NVRTC's log.
    pub fn code(&self, source: &str, target: Target) -> Result<Vec<u8>> {
        match target {
            Target::Machine(architecture) => Ok(self.compile(source, architecture)?.cubin),
            Target::Assembly(architecture) => self.assembly(source, architecture),
        }
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
        let ptx = self.assembly(source, architecture)?;
        Ok(String::from_utf8_lossy(&ptx).trim_end_matches('\0').to_owned())
    }

    /// The same in bytes, of which the last is 0.
    fn assembly(&self, source: &str, architecture: Architecture) -> Result<Vec<u8>> {
        let virtual_one = format!("compute_{}{}", architecture.major, architecture.minor);
        let fault =
            || Error::Compile { architecture: virtual_one.clone(), log: "no PTX was made".to_owned() };
        self.program(source, &virtual_one)?.ptx().ok_or_else(fault)
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
    fn devices_that_the_compiler_does_not_know_have_ptx_of_older_ones() {
        let of = |major, minor| Architecture { major, minor };
        let known = [of(7, 5), of(8, 0), of(9, 0), of(12, 1)];
        let target = |major, minor| Target::of(of(major, minor), &known);
        assert_eq!(target(9, 0), Ok(Target::Machine(of(9, 0))));
        assert_eq!(target(8, 6), Ok(Target::Assembly(of(8, 0))));
        assert_eq!(target(13, 0), Ok(Target::Assembly(of(12, 1))));
        assert_eq!(target(7, 0), Err(Some(of(7, 5))));
    }

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
