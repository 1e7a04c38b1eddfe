//! Which device a run computes on.
//!
//! Invariant: a device that cannot compute is refused before anything is read, with the reason. Called by the command
//! line.

use crate::{Error, Result};
use blockwise_gpu::device::{Device as Found, Unavailable, detect};
use std::str::FromStr;

/// What computes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Device {
    /// This machine's processors.
    #[default]
    Cpu,
    /// The CUDA device of a number.
    Cuda {
        /// The driver's number of it.
        ordinal: u32,
    },
}

impl FromStr for Device {
    type Err = Error;

    /// Reads `cpu`, `cuda` (the first device) and `cuda:N`.
    ///
    /// ```
    /// use blockwise::device::Device;
    /// assert_eq!("cuda:1".parse::<Device>()?, Device::Cuda { ordinal: 1 });
    /// assert!("gpu".parse::<Device>().is_err());
    /// # Ok::<(), blockwise::Error>(())
    /// ```
    fn from_str(text: &str) -> Result<Self> {
        let number = match text {
            "cpu" => return Ok(Self::Cpu),
            "cuda" => Some(0),
            _ => text.strip_prefix("cuda:").and_then(|number| number.parse().ok()),
        };
        number.map(|ordinal| Self::Cuda { ordinal }).ok_or_else(|| Error::Argument {
            what: "device",
            text: text.to_owned(),
            why: "give cpu, cuda or cuda:N".to_owned(),
        })
    }
}

impl Device {
    /// Checks that plans can run on it.
    ///
    /// # Errors
    /// [`Error::Refused`] for every CUDA device: why there is none or, where there is one, that plans do not run on it yet.
    pub fn require(self) -> Result<()> {
        let Self::Cuda { ordinal } = self else { return Ok(()) };
        let what = refusal(ordinal, &detect());
        Err(Error::Refused { path: format!("device cuda:{ordinal}"), what })
    }
}

fn refusal(ordinal: u32, found: &Result<Vec<Found>, Unavailable>) -> String {
    match found {
        Err(why) => format!("{why}; or use --device cpu"),
        Ok(devices) => match devices.iter().find(|device| device.ordinal == ordinal) {
            None => format!("there are only {} devices, counted from 0", devices.len()),
            Some(device) => {
                format!(
                    "there is an {}, but this version does not compute on devices yet; use --device cpu",
                    device.name
                )
            }
        },
    }
}
