//! NVRTC's functions, and programs of its.
//!
//! It is looked for in the folders of `BLOCKWISE_CUDA_LIBRARIES` and `CUDA_PATH`, then among the system's libraries, there by the name that
//! tells its version first: a toolkit of another CUDA may own the other name. Invariant: what was opened is what is called, whatever
//! libraries of the same name there are. Called by [`super::Compiler`].

#![expect(unsafe_code, reason = "NVRTC's functions are C functions")]

use super::MAJOR;
use crate::device::{Architecture, Version};
use crate::symbols::functions;
use libloading::Library;
use std::ffi::{CString, c_char, c_int, c_void};
use std::path::{Path, PathBuf};
use std::ptr::{null, null_mut};

type Handle = *mut c_void;

functions! {
    /// NVRTC's functions.
    version = "nvrtcVersion": (*mut c_int, *mut c_int);
    architecture_count = "nvrtcGetNumSupportedArchs": (*mut c_int);
    architectures = "nvrtcGetSupportedArchs": (*mut c_int);
    create = "nvrtcCreateProgram":
        (*mut Handle, *const c_char, *const c_char, c_int, *const *const c_char, *const *const c_char);
    compile = "nvrtcCompileProgram": (Handle, c_int, *const *const c_char);
    destroy = "nvrtcDestroyProgram": (*mut Handle);
    log_size = "nvrtcGetProgramLogSize": (Handle, *mut usize);
    log = "nvrtcGetProgramLog": (Handle, *mut c_char);
    cubin_size = "nvrtcGetCUBINSize": (Handle, *mut usize);
    cubin = "nvrtcGetCUBIN": (Handle, *mut c_char);
    ptx_size = "nvrtcGetPTXSize": (Handle, *mut usize);
    ptx = "nvrtcGetPTX": (Handle, *mut c_char);
}

/// NVRTC, opened.
pub(super) struct Nvrtc {
    functions: Functions,
    pub(super) version: Version,
    /// What it makes machine code for, ascending.
    pub(super) architectures: Vec<Architecture>,
}

impl std::fmt::Debug for Nvrtc {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "NVRTC {}", self.version)
    }
}

impl Nvrtc {
    /// The first of those that there are that is of the right version; why not.
    pub(super) fn open() -> Result<Self, String> {
        let variables = [("BLOCKWISE_CUDA_LIBRARIES", ""), ("CUDA_PATH", "lib64")];
        let folders = variables
            .iter()
            .filter_map(|(name, below)| Some(PathBuf::from(std::env::var_os(name)?).join(below)));
        if let Some(folder) = folders.into_iter().find(|folder| library(folder).is_file()) {
            let of_folder = |error| format!("NVRTC in {} could not be loaded: {error}", folder.display());
            return Self::of(in_folder(&folder).map_err(of_folder)?);
        }
        let mut why = format!("NVRTC (libnvrtc.so.{MAJOR}) was not found");
        for name in [library(Path::new("")), PathBuf::from("libnvrtc.so")] {
            // SAFETY: loading NVRTC runs its initialisers and nothing else.
            let Ok(library) = (unsafe { Library::new(&name) }) else { continue };
            match Self::of(library) {
                Ok(nvrtc) => return Ok(nvrtc),
                Err(reason) => why = reason,
            }
        }
        Err(why)
    }

    /// A library's functions, if it has all, and is of the right version.
    fn of(library: Library) -> Result<Self, String> {
        // It stays loaded: threads of its own may outlive what is here.
        let library = Box::leak(Box::new(library));
        let functions =
            Functions::find(library).map_err(|symbol| format!("the NVRTC that was found has no {symbol}"))?;
        let (mut major, mut minor) = (0, 0);
        // SAFETY: writes two ints.
        let code = unsafe { (functions.version)(&raw mut major, &raw mut minor) };
        let number = |part: c_int| u32::try_from(part).unwrap_or(0);
        let version = Version { major: number(major), minor: number(minor) };
        if code != 0 || version.major != MAJOR {
            return Err(format!("the NVRTC that was found is of CUDA {version}, not {MAJOR}"));
        }
        let architectures = architectures(&functions)?;
        Ok(Self { functions, version, architectures })
    }

    /// A source, compiled with these options; NVRTC's log if it refuses.
    pub(super) fn compiled(&self, source: &str, options: &[String]) -> Result<Program<'_>, String> {
        let source = CString::new(source).map_err(|error| error.to_string())?;
        let options = options.iter().map(|option| CString::new(option.as_str()));
        let options = options.collect::<Result<Vec<_>, _>>().map_err(|error| error.to_string())?;
        let mut handle = null_mut();
        // SAFETY: writes one handle; the text ends in a 0, there are no headers.
        let code =
            unsafe { (self.functions.create)(&raw mut handle, source.as_ptr(), null(), 0, null(), null()) };
        if code != 0 {
            return Err(format!("nvrtcCreateProgram gave error {code}"));
        }
        let program = Program { functions: &self.functions, handle };
        let places: Vec<*const c_char> = options.iter().map(|option| option.as_ptr()).collect();
        let count = c_int::try_from(places.len()).unwrap_or(0);
        // SAFETY: the program was created and not destroyed; so many texts, each ending in a 0.
        let code = unsafe { (self.functions.compile)(handle, count, places.as_ptr()) };
        match code {
            0 => Ok(program),
            code => Err(Some(program.log())
                .filter(|log| !log.is_empty())
                .unwrap_or_else(|| format!("error {code}"))),
        }
    }
}

/// What NVRTC makes machine code for, ascending: one at least.
fn architectures(functions: &Functions) -> Result<Vec<Architecture>, String> {
    let fault = || "the NVRTC that was found names no architecture that it compiles for".to_owned();
    let mut count = 0;
    // SAFETY: writes one int.
    let counted = unsafe { (functions.architecture_count)(&raw mut count) };
    let mut numbers = vec![0; usize::try_from(count).map_err(|_| fault())?];
    // SAFETY: writes as many ints as it has just said.
    let listed = unsafe { (functions.architectures)(numbers.as_mut_ptr()) };
    let numbers = numbers.into_iter().filter_map(|number| u32::try_from(number).ok());
    let mut all: Vec<Architecture> =
        numbers.map(|number| Architecture { major: number / 10, minor: number % 10 }).collect();
    all.sort_unstable();
    if counted == 0 && listed == 0 && !all.is_empty() { Ok(all) } else { Err(fault()) }
}

fn library(folder: &Path) -> PathBuf {
    folder.join(format!("libnvrtc.so.{MAJOR}"))
}

/// NVRTC of a folder; what it opens by name is opened first, so that it finds that.
fn in_folder(folder: &Path) -> Result<Library, Box<dyn std::error::Error>> {
    let prefix = format!("libnvrtc-builtins.so.{MAJOR}");
    let entries = std::fs::read_dir(folder)?.filter_map(|entry| Some(entry.ok()?.path()));
    let is_needed =
        |path: &PathBuf| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(&prefix));
    for path in entries.filter(is_needed) {
        // SAFETY: NVIDIA's libraries, from the folder that the user names; they stay loaded.
        std::mem::forget(unsafe { Library::new(&path) }?);
    }
    // SAFETY: as above.
    Ok(unsafe { Library::new(library(folder)) }?)
}

/// A program of NVRTC's, destroyed when dropped.
pub(super) struct Program<'n> {
    functions: &'n Functions,
    handle: Handle,
}

impl Program<'_> {
    /// What NVRTC said.
    pub(super) fn log(&self) -> String {
        let log = self.bytes(self.functions.log_size, self.functions.log).unwrap_or_default();
        String::from_utf8_lossy(&log).trim_end_matches('\0').to_owned()
    }

    /// Machine code; `None` where it was compiled for no architecture that there is.
    pub(super) fn cubin(&self) -> Option<Vec<u8>> {
        self.bytes(self.functions.cubin_size, self.functions.cubin).filter(|cubin| !cubin.is_empty())
    }

    /// The assembly language that machine code is made of; its last byte is 0.
    pub(super) fn ptx(&self) -> Option<Vec<u8>> {
        self.bytes(self.functions.ptx_size, self.functions.ptx).filter(|ptx| ptx.last() == Some(&0))
    }

    fn bytes(
        &self,
        size: unsafe extern "C" fn(Handle, *mut usize) -> c_int,
        get: unsafe extern "C" fn(Handle, *mut c_char) -> c_int,
    ) -> Option<Vec<u8>> {
        let mut len_bytes = 0;
        // SAFETY: the program was created and not destroyed; one size is written.
        let sized = unsafe { size(self.handle, &raw mut len_bytes) };
        let mut bytes = vec![0_u8; if sized == 0 { len_bytes } else { return None }];
        // SAFETY: so many bytes are written.
        let got = unsafe { get(self.handle, bytes.as_mut_ptr().cast::<c_char>()) };
        (got == 0).then_some(bytes)
    }
}

impl Drop for Program<'_> {
    fn drop(&mut self) {
        // SAFETY: the program was created, and is destroyed once.
        let _ = unsafe { (self.functions.destroy)(&raw mut self.handle) }; // nothing else can be done about it
    }
}
