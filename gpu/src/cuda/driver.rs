//! The driver's functions that runs need, and what must be let go again: a context, streams, memory, modules.
//!
//! Every function is found by name before the first is called, so that an odd library is an error and no crash; answers stay numbers, since
//! a driver may know more of them than this program. Invariants: whatever is made here is given back when it drops, after what
//! depends on it; every call is made with its context current on the calling thread. Called by the other modules of [`crate::cuda`].

#![expect(unsafe_code, reason = "functions of the driver are C functions found by name")]

mod stream;

use crate::device::Unavailable;
use crate::symbols::functions;
use crate::{Error, Result};
use blockwise_core::TaskContext;
use std::collections::BTreeMap;
use std::ffi::{CStr, CString, c_char, c_int, c_uint, c_void};
use std::ptr::{NonNull, null_mut};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
pub(super) use stream::Stream;

/// An address in a device's memory.
pub(super) type Address = u64;
type Handle = *mut c_void;

/// Flags as the driver numbers them: threads that wait sleep; streams do not wait for the default one; memory of the host is for all
/// contexts.
const BLOCKING_SYNC: c_uint = 4;
const NON_BLOCKING: c_uint = 1;
const PORTABLE: c_uint = 1;
/// The attribute of a kernel, as the driver numbers it: the most threads of a block.
const MOST_THREADS: c_int = 0;
/// The driver's number of the error: out of memory.
const OUT_OF_MEMORY: c_int = 2;

functions! {
    /// The driver's functions.
    device_get = "cuDeviceGet": (*mut c_int, c_int);
    context_flags = "cuDevicePrimaryCtxSetFlags_v2": (c_int, c_uint);
    context_retain = "cuDevicePrimaryCtxRetain": (*mut Handle, c_int);
    context_release = "cuDevicePrimaryCtxRelease_v2": (c_int);
    context_set = "cuCtxSetCurrent": (Handle);
    stream_create = "cuStreamCreate": (*mut Handle, c_uint);
    stream_destroy = "cuStreamDestroy_v2": (Handle);
    stream_synchronize = "cuStreamSynchronize": (Handle);
    memory_info = "cuMemGetInfo_v2": (*mut usize, *mut usize);
    memory_alloc = "cuMemAlloc_v2": (*mut Address, usize);
    memory_free = "cuMemFree_v2": (Address);
    host_alloc = "cuMemHostAlloc": (*mut *mut c_void, usize, c_uint);
    host_free = "cuMemFreeHost": (*mut c_void);
    copy_in = "cuMemcpyHtoDAsync_v2": (Address, *const c_void, usize, Handle);
    copy_out = "cuMemcpyDtoHAsync_v2": (*mut c_void, Address, usize, Handle);
    module_load = "cuModuleLoadData": (*mut Handle, *const c_void);
    module_unload = "cuModuleUnload": (Handle);
    module_function = "cuModuleGetFunction": (*mut Handle, Handle, *const c_char);
    function_attribute = "cuFuncGetAttribute": (*mut c_int, c_int, Handle);
    launch = "cuLaunchKernel":
        (Handle, c_uint, c_uint, c_uint, c_uint, c_uint, c_uint, c_uint, Handle, *mut *mut c_void, *mut *mut c_void);
    error_name = "cuGetErrorName": (c_int, *mut *const c_char);
}

fn functions() -> Result<&'static Functions> {
    static FOUND: OnceLock<std::result::Result<Functions, &'static str>> = OnceLock::new();
    let library = crate::device::library().ok_or(Unavailable::NoDriver)?;
    let found = FOUND.get_or_init(|| Functions::find(library)).as_ref();
    found.map_err(|symbol| Unavailable::Incomplete { symbol: (*symbol).to_owned() }.into())
}

/// A context of a device: the primary one, that every library of a process shares.
pub(super) struct Context {
    functions: &'static Functions,
    device: c_int,
    handle: Handle,
}

// SAFETY: the driver's contexts may be current on any number of threads at once, and its functions may be called by all of them.
unsafe impl Send for Context {}
// SAFETY: as above.
unsafe impl Sync for Context {}

impl std::fmt::Debug for Context {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "context of device {}", self.device)
    }
}

impl Context {
    /// The context of the device of a number; the driver has been initialised by its detection.
    pub(super) fn open(ordinal: u32) -> Result<Self> {
        let functions = functions()?;
        let number = c_int::try_from(ordinal).unwrap_or(c_int::MAX);
        let (mut device, mut handle) = (0, null_mut());
        // SAFETY: writes one int.
        answer(functions, "cuDeviceGet", unsafe { (functions.device_get)(&raw mut device, number) })?;
        check_lost(device)?;
        // SAFETY: a device that the driver named. It refuses if the context is in use already, which does no harm.
        let _ = unsafe { (functions.context_flags)(device, BLOCKING_SYNC) };
        // SAFETY: writes one handle.
        let code = unsafe { (functions.context_retain)(&raw mut handle, device) };
        answer(functions, "cuDevicePrimaryCtxRetain", code)?;
        Ok(Self { functions, device, handle })
    }

    /// Makes it the calling thread's own, if the device is not lost.
    fn enter(&self) -> Result<&'static Functions> {
        check_lost(self.device)?;
        self.enter_to_free()
    }

    /// Makes it the calling thread's own. What is freed is freed of lost devices too: the memory of the host, at least, is.
    fn enter_to_free(&self) -> Result<&'static Functions> {
        // SAFETY: the context was retained and is not released before this drops.
        let code = unsafe { (self.functions.context_set)(self.handle) };
        self.answer("cuCtxSetCurrent", code)?;
        Ok(self.functions)
    }

    /// An error if the driver gave one; after some the device is lost.
    fn answer(&self, action: &'static str, code: c_int) -> Result<()> {
        if is_lasting(code) {
            let mut lost = LOST.lock().unwrap_or_else(PoisonError::into_inner);
            lost.entry(self.device).or_insert(code);
        }
        answer(self.functions, action, code)
    }

    /// Bytes of the device's memory that nobody uses.
    pub(super) fn free_bytes(&self) -> Result<u64> {
        let functions = self.enter()?;
        let (mut free, mut all) = (0, 0);
        // SAFETY: writes two sizes.
        let code = unsafe { (functions.memory_info)(&raw mut free, &raw mut all) };
        self.answer("cuMemGetInfo", code)?;
        Ok(free as u64)
    }
}

impl Drop for Context {
    fn drop(&mut self) {
        // SAFETY: it was retained once; all that depends on it holds it.
        let _ = unsafe { (self.functions.context_release)(self.device) }; // nothing else can be done about it
    }
}

/// Errors after which a process gets nothing but errors from a device: memory that did not hold, an address or an instruction of a kernel that
/// was none, a kernel that ran too long, and their kin. The driver's numbers.
const fn is_lasting(code: c_int) -> bool {
    matches!(code, 214 | 220 | 700 | 702 | 710 | 714..=719 | 721)
}

/// Whether the driver had no memory left.
pub(super) const fn is_out_of_memory(error: &Error) -> bool {
    matches!(error, Error::Driver { code: OUT_OF_MEMORY, .. })
}

/// Whether a kernel of this crate could not be had, which is no reason to end a run: its compiler or the driver refused its text, or the device
/// had no memory for it.
pub(super) fn is_of_kernel(error: &Error) -> bool {
    match error {
        Error::Kernel { cause } => is_of_kernel(cause),
        Error::Compile { .. } => true,
        Error::Driver { action, code, .. } => action.starts_with("cuModule") && !is_lasting(*code),
        _ => false,
    }
}

/// The devices that this process has lost, and the error of each.
static LOST: Mutex<BTreeMap<c_int, c_int>> = Mutex::new(BTreeMap::new());

/// An error if a device is lost.
fn check_lost(device: c_int) -> Result<()> {
    let lost = LOST.lock().unwrap_or_else(PoisonError::into_inner);
    match lost.get(&device) {
        None => Ok(()),
        Some(code) => Err(Error::Lost { device, code: *code }),
    }
}

/// An error if the driver gave one.
fn answer(functions: &Functions, action: &'static str, code: c_int) -> Result<()> {
    if code == 0 {
        return Ok(());
    }
    let mut name = std::ptr::null();
    // SAFETY: writes one pointer, to a text that is never freed, or null.
    let known = unsafe { (functions.error_name)(code, &raw mut name) };
    let name = if known == 0 && !name.is_null() {
        // SAFETY: the driver's own text, that ends in a 0.
        unsafe { CStr::from_ptr(name) }.to_string_lossy().into_owned()
    } else {
        "unknown".to_owned()
    };
    Err(Error::Driver { action, code, name })
}

/// Memory of a device.
pub(super) struct Slab {
    context: Arc<Context>,
    address: Address,
    len_bytes: usize,
}

impl Slab {
    /// Fresh memory; `None` if the device has none left.
    pub(super) fn new(context: &Arc<Context>, len_bytes: usize) -> Result<Option<Self>> {
        let functions = context.enter()?;
        let mut address = 0;
        // SAFETY: writes one address.
        match unsafe { (functions.memory_alloc)(&raw mut address, len_bytes.max(1)) } {
            OUT_OF_MEMORY => Ok(None),
            code => {
                context.answer("cuMemAlloc", code)?;
                Ok(Some(Self { context: Arc::clone(context), address, len_bytes }))
            }
        }
    }

    pub(super) const fn len_bytes(&self) -> usize {
        self.len_bytes
    }

    /// The address of a byte.
    pub(super) const fn at(&self, offset: usize) -> Address {
        self.address + offset as Address
    }

    /// Checks that a range lies in it.
    fn check(&self, offset: usize, len_bytes: usize) -> Result<()> {
        if offset.checked_add(len_bytes).is_some_and(|end| end <= self.len_bytes) {
            return Ok(());
        }
        let (expected, given) = (self.len_bytes, offset.saturating_add(len_bytes));
        Err(Error::Count { what: "bytes of device memory", expected, given })
    }
}

impl Drop for Slab {
    fn drop(&mut self) {
        if let Ok(functions) = self.context.enter_to_free() {
            // SAFETY: allocated once, freed once; streams that used it were waited for.
            let _ = unsafe { (functions.memory_free)(self.address) };
        }
    }
}

/// Memory of the host that devices reach by themselves, zeroed.
pub(super) struct HostMemory {
    context: Arc<Context>,
    start: NonNull<u8>,
    len_bytes: usize,
}

// SAFETY: plain memory, owned like a box; any thread may free it, with its context current.
unsafe impl Send for HostMemory {}
// SAFETY: as above; shared, it is only read.
unsafe impl Sync for HostMemory {}

impl HostMemory {
    /// So many bytes, or nothing where the system has no more memory to pin.
    pub(super) fn new(context: &Arc<Context>, len_bytes: usize) -> Option<Self> {
        let functions = context.enter().ok()?;
        let mut start = null_mut();
        // SAFETY: writes one pointer. Not write-combined: codecs read what they wrote.
        let code = unsafe { (functions.host_alloc)(&raw mut start, len_bytes.max(1), PORTABLE) };
        let start = NonNull::new(start.cast::<u8>()).filter(|_| code == 0)?;
        // SAFETY: so many bytes were just allocated, and nobody else knows of them.
        unsafe { start.write_bytes(0, len_bytes) };
        Some(Self { context: Arc::clone(context), start, len_bytes })
    }
}

impl blockwise_kernels::Page for HostMemory {
    fn bytes(&self) -> &[u8] {
        // SAFETY: allocated, initialised, and owned by this.
        unsafe { std::slice::from_raw_parts(self.start.as_ptr(), self.len_bytes) }
    }

    fn bytes_mut(&mut self) -> &mut [u8] {
        // SAFETY: as above, and borrowed by nobody else.
        unsafe { std::slice::from_raw_parts_mut(self.start.as_ptr(), self.len_bytes) }
    }
}

impl Drop for HostMemory {
    fn drop(&mut self) {
        if let Ok(functions) = self.context.enter_to_free() {
            // SAFETY: allocated once, freed once; copies to and from it were waited for.
            let _ = unsafe { (functions.host_free)(self.start.as_ptr().cast()) };
        }
    }
}

/// Waits; another thread of the run computes meanwhile, if the caller is one.
pub(super) fn waiting<T>(cx: Option<&TaskContext<'_>>, wait: impl FnOnce() -> T) -> T {
    match cx {
        Some(cx) => cx.waiting(wait),
        None => wait(),
    }
}

/// A loaded kernel.
pub(super) struct Module {
    context: Arc<Context>,
    handle: Handle,
    function: Handle,
}

// SAFETY: handles of the driver; modules and functions may be used by any thread.
unsafe impl Send for Module {}
// SAFETY: as above.
unsafe impl Sync for Module {}

impl Module {
    /// Loads machine code, and finds the kernel of a name in it.
    pub(super) fn load(context: &Arc<Context>, code: &[u8], entry: &str) -> Result<Self> {
        let functions = context.enter()?;
        let mut handle = null_mut();
        // SAFETY: a whole file in ELF's form, which says itself how long it is.
        let loaded = unsafe { (functions.module_load)(&raw mut handle, code.as_ptr().cast()) };
        context.answer("cuModuleLoadData", loaded)?;
        let mut module = Self { context: Arc::clone(context), handle, function: null_mut() };
        let entry = CString::new(entry).unwrap_or_default();
        // SAFETY: writes one handle; the name ends in a 0.
        let code =
            unsafe { (functions.module_function)(&raw mut module.function, module.handle, entry.as_ptr()) };
        context.answer("cuModuleGetFunction", code)?;
        Ok(module)
    }
}

impl Module {
    /// The most threads that a block of the kernel may have: its registers are shared among them.
    pub(super) fn most_threads(&self) -> Result<u32> {
        let functions = self.context.enter()?;
        let mut most = 0;
        // SAFETY: writes one int; the function is the module's.
        let code = unsafe { (functions.function_attribute)(&raw mut most, MOST_THREADS, self.function) };
        self.context.answer("cuFuncGetAttribute", code)?;
        Ok(u32::try_from(most).unwrap_or(0))
    }
}

impl Drop for Module {
    fn drop(&mut self) {
        if let Ok(functions) = self.context.enter_to_free() {
            // SAFETY: loaded once, unloaded once; streams that ran it were waited for.
            let _ = unsafe { (functions.module_unload)(self.handle) };
        }
    }
}
