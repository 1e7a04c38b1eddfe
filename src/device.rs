//! Which device a run computes on.
//!
//! Invariant: a device that there is not is refused before anything is read, with the reason. Called by the command line.

use crate::{Error, Result};
use blockwise_core::device::Device as Computing;
use std::str::FromStr;
use std::sync::Arc;

/// What computes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Device {
    /// This machine's processors.
    #[default]
    Cpu,
    /// CUDA devices, where they gain time.
    Cuda {
        /// The driver's numbers of them: at least one, each once.
        ordinals: Vec<u32>,
    },
}

impl FromStr for Device {
    type Err = Error;

    /// Reads `cpu`, `cuda` (the first device), `cuda:N` and `cuda:N,M`.
    ///
    /// ```
    /// use blockwise::device::Device;
    /// assert_eq!("cuda:1".parse::<Device>()?, Device::Cuda { ordinals: vec![1] });
    /// assert!("gpu".parse::<Device>().is_err());
    /// # Ok::<(), blockwise::Error>(())
    /// ```
    fn from_str(text: &str) -> Result<Self> {
        let numbers = match text {
            "cpu" => return Ok(Self::Cpu),
            "cuda" => Some(vec![0]),
            _ => text.strip_prefix("cuda:").and_then(|list| {
                list.split(',').map(|number| number.parse().ok()).collect::<Option<Vec<u32>>>()
            }),
        };
        let is_set = |numbers: &Vec<u32>| {
            numbers
                .iter()
                .enumerate()
                .all(|(at, number)| !numbers.iter().take(at).any(|earlier| earlier == number))
        };
        numbers.filter(is_set).map(|ordinals| Self::Cuda { ordinals }).ok_or_else(|| Error::Argument {
            what: "device",
            text: text.to_owned(),
            why: "give cpu, cuda, cuda:N or cuda:N,M".to_owned(),
        })
    }
}

impl Device {
    /// What computes instead of the processors, ready; `None` if they do. The variables `BLOCKWISE_DEVICE_MEMORY` (bytes of each device that may
    /// be used, such as 8GiB) and `BLOCKWISE_DEVICE_ALWAYS` (1: also where little is gained) say more.
    ///
    /// # Errors
    /// [`Error::Refused`] if there is no such device, or nothing that compiles kernels for it.
    pub fn open(&self) -> Result<Option<Arc<dyn Computing>>> {
        let Self::Cuda { ordinals } = self else { return Ok(None) };
        opened(ordinals).map(Some)
    }
}

#[cfg(feature = "cuda")]
fn opened(ordinals: &[u32]) -> Result<Arc<dyn Computing>> {
    use blockwise_gpu::cuda::{Cuda, Options, Several};
    let given = |name: &str| std::env::var(name).ok().filter(|text| !text.is_empty());
    let memory_bytes =
        given("BLOCKWISE_DEVICE_MEMORY").map(|text| crate::size::parse_bytes(&text)).transpose()?;
    let options =
        Options { memory_bytes, insists: given("BLOCKWISE_DEVICE_ALWAYS").is_some_and(|text| text == "1") };
    let device: Result<Arc<dyn Computing>, blockwise_gpu::Error> = match ordinals {
        [only] => Cuda::open(*only, options).map(|device| Arc::new(device) as Arc<dyn Computing>),
        several => Several::open(several, options).map(|devices| Arc::new(devices) as Arc<dyn Computing>),
    };
    device.map_err(|error| refused(ordinals, &error))
}

#[cfg(not(feature = "cuda"))]
fn opened(ordinals: &[u32]) -> Result<Arc<dyn Computing>> {
    Err(refused(ordinals, &blockwise_gpu::Error::Unavailable(blockwise_gpu::device::Unavailable::NotBuilt)))
}

fn refused(ordinals: &[u32], error: &blockwise_gpu::Error) -> Error {
    let numbers: Vec<String> = ordinals.iter().map(u32::to_string).collect();
    Error::Refused { path: format!("device cuda:{}", numbers.join(",")), what: error.to_string() }
}
