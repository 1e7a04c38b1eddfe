//! The error type of this crate.
//!
//! Invariant: a message says what to do. Called by every module here.

use crate::device::{Architecture, Unavailable, Version};
use blockwise_core::{Fault, StoreFault};
use blockwise_kernels::DType;
use std::path::PathBuf;
use std::sync::Arc;

/// What this crate returns.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why a kernel could not be generated, compiled, kept or run.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A dtype that kernels do not compute with.
    #[error("GPU kernels do not compute with {dtype} yet; compute it on the CPU")]
    Type {
        /// The dtype.
        dtype: DType,
    },
    /// A function without a text for these dtypes.
    #[error("GPU kernels have no {function} of ({dtypes}); compute it on the CPU")]
    Function {
        /// The function.
        function: &'static str,
        /// The dtypes of its arguments, separated by commas.
        dtypes: String,
    },
    /// A reduction that kernels do not do.
    #[error("GPU kernels have no {reducer} yet; compute it on the CPU")]
    Reducer {
        /// What was to be reduced.
        reducer: String,
    },
    /// Windows of a filter that kernels do not do.
    #[error("GPU kernels have no {why}; compute it on the CPU")]
    Window {
        /// Which.
        why: String,
    },
    /// A filter that does not go with the boxes it is to be run on.
    #[error("a filter that does not fit its box: {0}")]
    Filter(#[from] blockwise_kernels::KernelError),
    /// Operands, outputs or reductions that do not go with the program or the shape.
    #[error("{what}: {given} given, {expected} needed")]
    Count {
        /// What was counted.
        what: &'static str,
        /// How many there must be.
        expected: usize,
        /// How many were given.
        given: usize,
    },
    /// An output of another dtype than its reduction takes.
    #[error("output {output} is {given}, but its reduction takes {expected}; cast it first")]
    TileType {
        /// The number of the output.
        output: usize,
        /// What the reduction takes.
        expected: DType,
        /// What the program makes.
        given: DType,
    },
    /// A number of elements or a step that does not fit the machine's integers.
    #[error("a shape of {shape:?} overflows the address space; take smaller chunks")]
    Overflow {
        /// The shape.
        shape: Vec<usize>,
    },
    /// NVRTC, which compiles kernels, cannot be used.
    #[error(
        "{why}; install CUDA 13's NVRTC (pip install nvidia-cuda-nvrtc) and set BLOCKWISE_CUDA_LIBRARIES to its folder, or use --device cpu"
    )]
    NoCompiler {
        /// What is missing.
        why: String,
    },
    /// A device that NVRTC compiles nothing for.
    #[error(
        "the device is of {architecture}, but NVRTC {version} compiles for {oldest} and newer ones; take another device, or --device cpu"
    )]
    OldArchitecture {
        /// The device's.
        architecture: Architecture,
        /// The oldest that NVRTC compiles for.
        oldest: Architecture,
        /// NVRTC's version.
        version: Version,
    },
    /// NVRTC refused a kernel: a fault of this crate.
    #[error(
        "NVRTC could not compile a kernel for {architecture}: {log}; if you did not write it, this is a bug: please report it"
    )]
    Compile {
        /// The architecture, such as `sm_90`.
        architecture: String,
        /// What NVRTC said.
        log: String,
    },
    /// There is no such device.
    #[error("{0}; or use --device cpu")]
    Unavailable(#[from] Unavailable),
    /// The driver failed.
    #[error("{action} gave error {code} ({name}); check nvidia-smi, or use --device cpu")]
    Driver {
        /// What was called.
        action: &'static str,
        /// The driver's number of the error.
        code: i32,
        /// Its name for it.
        name: String,
    },
    /// A device that failed so that this process has no more use of it.
    #[error(
        "device {device} failed with error {code} and does nothing more for this process; restart the program, or use --device cpu"
    )]
    Lost {
        /// The driver's number of the device.
        device: i32,
        /// The driver's number of the error.
        code: i32,
    },
    /// A kernel of a user that takes what its function is not given.
    #[cfg(feature = "cuda")]
    #[error("kernel {kernel} takes {parameter:?}, but its blocks have no such thing")]
    Parameter {
        /// Its name.
        kernel: String,
        /// What it takes.
        parameter: crate::cuda::Parameter,
    },
    /// A kernel of a user that is to run with more threads a block than its registers are enough for.
    #[error(
        "kernel {kernel} takes so many registers that a block has at most {most} threads, not {given}; give fewer with with_block_threads, or bound it with __launch_bounds__"
    )]
    Threads {
        /// Its name.
        kernel: String,
        /// The most threads.
        most: u32,
        /// Those that were asked for.
        given: u32,
    },
    /// A block that the device's memory does not hold.
    #[error("{what} needs {needed_bytes} bytes of the device's memory at once; take smaller chunks")]
    DeviceFull {
        /// The kernel.
        what: String,
        /// What it needs.
        needed_bytes: usize,
    },
    /// A kernel could not be had, as was found before.
    #[error("{cause}")]
    Kernel {
        /// Why.
        cause: Arc<Self>,
    },
    /// A folder or file of the cache.
    #[error("{}: {source}", path.display())]
    Cache {
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
}

impl StoreFault for Error {
    fn fault(&self) -> Fault {
        match self {
            Self::Unavailable(_) | Self::NoCompiler { .. } | Self::OldArchitecture { .. } => Fault::Refused,
            Self::Kernel { cause } => cause.fault(),
            _ => Fault::Failed,
        }
    }
}
