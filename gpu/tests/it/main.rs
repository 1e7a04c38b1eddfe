//! Generated kernels: what they compute, run on the CPU, and what NVRTC makes of them.
#![expect(clippy::unwrap_used, reason = "tests stop at the first surprise")]

#[cfg(all(feature = "cuda", target_os = "linux"))]
mod arrays;
#[cfg(feature = "cuda")]
mod compiled;
#[cfg(all(feature = "cuda", target_os = "linux"))]
mod device;
mod filters;
mod host;
mod parity;
mod random;
mod suite;
