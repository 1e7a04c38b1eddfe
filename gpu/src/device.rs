//! Which CUDA devices there are, and why there is none.
//!
//! Invariant: nothing here panics or needs a driver: libraries are looked for, their functions too, before one is called,
//! and what a driver answers is kept as a number, since it may know errors that this program does not. Called by the
//! command line's `doctor` and before anything else that needs a device.

#[cfg(feature = "cuda")]
mod driver;

#[cfg(feature = "cuda")]
pub(crate) use driver::library;

use std::fmt;

/// The oldest driver that these bindings can be used with, as CUDA counts versions: 13.0.
pub const OLDEST_DRIVER: Version = Version { major: 13, minor: 0 };

/// A version of CUDA.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Version {
    /// The first number.
    pub major: u32,
    /// The second.
    pub minor: u32,
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.major, self.minor)
    }
}

/// What generation of devices machine code is for.
///
/// ```
/// use blockwise_gpu::device::Architecture;
/// assert_eq!(Architecture { major: 9, minor: 0 }.to_string(), "sm_90");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Architecture {
    /// The first number of the compute capability.
    pub major: u32,
    /// The second.
    pub minor: u32,
}

impl fmt::Display for Architecture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "sm_{}{}", self.major, self.minor)
    }
}

/// A device that the driver shows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Device {
    /// Its number, from 0.
    pub ordinal: u32,
    /// The maker's name.
    pub name: String,
    /// Bytes of its memory.
    pub memory_bytes: u64,
    /// What it runs.
    pub architecture: Architecture,
}

/// Why there is no device.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Unavailable {
    /// Built without the feature `cuda`.
    #[error("this build has no GPU support; build with --features cuda")]
    NotBuilt,
    /// No library of the driver.
    #[error("no NVIDIA driver: libcuda.so.1 is not among the system's libraries")]
    NoDriver,
    /// A library without a function that every driver has.
    #[error("the libcuda.so.1 that was found is no whole driver: it has no {symbol}; check LD_LIBRARY_PATH")]
    Incomplete {
        /// The function.
        symbol: String,
    },
    /// A driver that is too old.
    #[error(
        "the NVIDIA driver is for CUDA {version}, but {OLDEST_DRIVER} is needed; install driver 580 or newer"
    )]
    OldDriver {
        /// What it is for.
        version: Version,
    },
    /// A driver, but no device.
    #[error("the NVIDIA driver shows no device; check nvidia-smi and CUDA_VISIBLE_DEVICES")]
    NoDevice,
    /// Fewer devices than the number that was asked for.
    #[error("there is no device cuda:{ordinal}, only {count}, counted from 0")]
    NoSuchDevice {
        /// What was asked for.
        ordinal: u32,
        /// How many there are.
        count: usize,
    },
    /// A driver that fails.
    #[error("the NVIDIA driver failed: {action} gave error {code}{}", remedy(*code))]
    Failed {
        /// What was called.
        action: String,
        /// The driver's number of the error.
        code: i32,
    },
}

/// What the errors mean that users meet.
fn remedy(code: i32) -> &'static str {
    match code {
        3 => " (not initialised)",
        34 => " (this libcuda is the toolkit's stub, meant for linking alone; check LD_LIBRARY_PATH)",
        46 | 802 => " (the device is not ready: another program or the fabric manager holds it back)",
        803 => " (driver and kernel module differ in version; restart the machine)",
        804 => " (the compatibility library does not support this device)",
        999 => " (unknown; often a driver that was updated while loaded: restart the machine)",
        _ => "; check nvidia-smi",
    }
}

/// The devices, in the driver's order: at least one.
///
/// # Errors
/// [`Unavailable`]: why there is none.
pub fn detect() -> Result<Vec<Device>, Unavailable> {
    #[cfg(feature = "cuda")]
    return driver::detect();
    #[cfg(not(feature = "cuda"))]
    Err(Unavailable::NotBuilt)
}
