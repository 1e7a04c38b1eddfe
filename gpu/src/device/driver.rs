//! Questions to the driver's library, which may be missing, old, broken or a stub.
//!
//! Invariant: a function is called only if the library has it. Called by [`super::detect`].

#![expect(unsafe_code, reason = "functions of the driver are C functions found by name")]

use super::{Architecture, Device, OLDEST_DRIVER, Unavailable, Version};
use libloading::Library;
use std::ffi::{c_char, c_int, c_uint};
use std::sync::OnceLock;

type Init = unsafe extern "C" fn(c_uint) -> c_int;
type OneNumber = unsafe extern "C" fn(*mut c_int) -> c_int;
type Get = unsafe extern "C" fn(*mut c_int, c_int) -> c_int;
type Name = unsafe extern "C" fn(*mut c_char, c_int, c_int) -> c_int;
type TotalMemory = unsafe extern "C" fn(*mut usize, c_int) -> c_int;
type Attribute = unsafe extern "C" fn(*mut c_int, c_int, c_int) -> c_int;

/// Errors as the driver numbers them: no device.
const NO_DEVICE: c_int = 100;
/// Attributes as the driver numbers them: the two numbers of the compute capability.
const CAPABILITY: [c_int; 2] = [75, 76];
const NAME_BYTES: usize = 256;

/// The driver's names. The first is the driver's own; the other may be the toolkit's stub, which is meant for linking alone.
const NAMES: [&str; 2] = ["libcuda.so.1", "libcuda.so"];

/// The driver's library, if there is one; it stays loaded.
pub(crate) fn library() -> Option<&'static Library> {
    static FOUND: OnceLock<Option<Library>> = OnceLock::new();
    // SAFETY: loading the driver's library runs its initialisers, which is what having a driver installed means.
    let open = || NAMES.iter().find_map(|name| unsafe { Library::new(*name) }.ok());
    FOUND.get_or_init(open).as_ref()
}

pub(super) fn detect() -> Result<Vec<Device>, Unavailable> {
    let driver = Driver(library().ok_or(Unavailable::NoDriver)?);
    let version = driver.number("cuDriverGetVersion")?;
    let version = Version {
        major: u32::try_from(version / 1000).unwrap_or(0),
        minor: u32::try_from(version % 1000 / 10).unwrap_or(0),
    };
    if version < OLDEST_DRIVER {
        return Err(Unavailable::OldDriver { version });
    }
    driver.init()?;
    let count = driver.number("cuDeviceGetCount")?;
    if count < 1 {
        return Err(Unavailable::NoDevice);
    }
    (0..count).map(|ordinal| driver.device(ordinal)).collect()
}

struct Driver(&'static Library);

impl Driver {
    /// A function of the library.
    ///
    /// # Safety
    /// `F` must be the function's type.
    unsafe fn function<F: Copy>(&self, symbol: &str) -> Result<F, Unavailable> {
        // SAFETY: the caller vouches for the type; the library is never unloaded.
        let found = unsafe { self.0.get::<F>(symbol) };
        found.map(|function| *function).map_err(|_| Unavailable::Incomplete { symbol: symbol.to_owned() })
    }

    fn init(&self) -> Result<(), Unavailable> {
        // SAFETY: the type is that of CUDA's documentation; 0 is the only flag there is.
        check("cuInit", unsafe { self.function::<Init>("cuInit")?(0) })
    }

    fn number(&self, symbol: &str) -> Result<c_int, Unavailable> {
        let mut number = 0;
        // SAFETY: both functions asked for by this name write one int.
        check(symbol, unsafe { self.function::<OneNumber>(symbol)?(&raw mut number) })?;
        Ok(number)
    }

    fn device(&self, ordinal: c_int) -> Result<Device, Unavailable> {
        let mut handle = 0;
        // SAFETY: writes one int, the handle of the device.
        check("cuDeviceGet", unsafe { self.function::<Get>("cuDeviceGet")?(&raw mut handle, ordinal) })?;
        let mut name = [0_u8; NAME_BYTES];
        let name_len = c_int::try_from(NAME_BYTES).unwrap_or(0);
        // SAFETY: writes at most so many bytes, the last of them 0.
        let code = unsafe {
            self.function::<Name>("cuDeviceGetName")?(name.as_mut_ptr().cast::<c_char>(), name_len, handle)
        };
        check("cuDeviceGetName", code)?;
        let mut memory_bytes = 0;
        // SAFETY: writes one size.
        let code =
            unsafe { self.function::<TotalMemory>("cuDeviceTotalMem_v2")?(&raw mut memory_bytes, handle) };
        check("cuDeviceTotalMem", code)?;
        let attribute = |which: c_int| {
            let mut number = 0;
            // SAFETY: writes one int.
            let code = unsafe {
                self.function::<Attribute>("cuDeviceGetAttribute")?(&raw mut number, which, handle)
            };
            check("cuDeviceGetAttribute", code)?;
            Ok(u32::try_from(number).unwrap_or(0))
        };
        let text = name.split(|byte| *byte == 0).next().unwrap_or_default();
        Ok(Device {
            ordinal: u32::try_from(ordinal).unwrap_or(0),
            name: String::from_utf8_lossy(text).into_owned(),
            memory_bytes: memory_bytes as u64,
            architecture: Architecture { major: attribute(CAPABILITY[0])?, minor: attribute(CAPABILITY[1])? },
        })
    }
}

fn check(action: &str, code: c_int) -> Result<(), Unavailable> {
    match code {
        0 => Ok(()),
        NO_DEVICE => Err(Unavailable::NoDevice),
        code => Err(Unavailable::Failed { action: action.to_owned(), code }),
    }
}
